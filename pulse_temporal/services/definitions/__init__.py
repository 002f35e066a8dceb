"""Create and change definitions, and keep their Temporal Schedules equal to them."""
