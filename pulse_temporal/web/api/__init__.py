"""The REST API under ``/api/v1``: what an engine does, for programs with an API key."""
