"""Create and change definitions, and keep Temporal's schedules equal to them."""
