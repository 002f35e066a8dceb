"""What the application plugs in: signal types, actions, conditions, hooks."""
