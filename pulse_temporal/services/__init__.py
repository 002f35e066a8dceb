"""The verbs, in rooms: signals and care on top of outbox, definitions and runs."""
