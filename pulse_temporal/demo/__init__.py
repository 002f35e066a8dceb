"""The content and the display of ``pulse demo``; the command itself is in ``cli``."""
