"""The process that works: the Temporal worker and the loops beside it."""
