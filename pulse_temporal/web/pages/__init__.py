"""The pages: each module is one of them, with what it streams and what may be done on it."""
