"""Pure values and pure functions: definitions, signals, runs, steps, timeline, JSON."""
