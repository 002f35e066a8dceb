"""The hands: run handlers, write the mirror."""
