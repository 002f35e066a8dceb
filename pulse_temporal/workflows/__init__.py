"""The sealed room: what runs here is replayed, so it decides and awaits, and does no I/O."""
