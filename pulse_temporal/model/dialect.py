"""The number that says which release a definition, a run or a command needs."""

from __future__ import annotations

DIALECT = 1
"""Newest dialect that this release knows; it knows all older ones too.

A dialect is one number for a set of kinds of step, fields and commands. A change that an older
release would misread raises it: a new kind of step, a new field that changes what a run does.
Definitions, runs and outbox commands carry the dialect that they need, and a process takes only
what it knows. The rest waits, and is shown, until a newer release takes it.
"""
