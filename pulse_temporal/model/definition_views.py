"""Definitions as lists and pages show them."""

from __future__ import annotations

from pydantic import AwareDatetime

from pulse_temporal.model.runs import RunStatus
from pulse_temporal.model.values import Value
from pulse_temporal.model.views import BoundedCount


class RunMark(Value):
    """A run as one sign in a row of them.

    Attributes:
        status: A status of a newer release is returned as it is stored.
    """

    id: str
    status: RunStatus | str
    created_at: AwareDatetime


class DefinitionActivity(Value):
    """What a definition has done.

    Attributes:
        completed: Runs that completed, among those created in the time that was asked about;
            counted up to 1 000.
        failed: The same of runs that failed.
        newest: Its newest runs of any time, newest first; at most ten.
    """

    definition_id: str
    completed: BoundedCount
    failed: BoundedCount
    newest: tuple[RunMark, ...] = ()
