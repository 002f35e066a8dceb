"""Everything that is asked of Temporal's server: connection, attributes, workflows."""
