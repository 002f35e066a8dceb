"""What ``pulse demo`` plays and shows; the command itself is in ``cli``."""
