"""The dialect: a number that says which release a definition, a run or a command needs."""

from __future__ import annotations

DIALECT = 1
"""Newest dialect that this release knows; it also knows all older ones.

One number stands for a set of kinds of step, fields and commands. It is raised by every change
that an older release would misread: a new kind of step, or a new field that changes what a run
does. Definitions, runs and outbox commands carry the dialect that they need, and a process takes
only what it knows. The rest stays visible and waits for a newer release.
"""
