"""All calls to Temporal's server: connection, search attributes, workflows, schedules."""
