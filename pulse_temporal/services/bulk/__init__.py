"""Bulk operations: one deed on many runs, which workers do run by run."""
