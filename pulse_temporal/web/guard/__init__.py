"""Who asks, and whether a request may come in at all."""
