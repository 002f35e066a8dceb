"""Compare, repair, and say what is wrong."""
