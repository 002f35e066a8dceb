"""Carry commands from Postgres to Temporal."""
