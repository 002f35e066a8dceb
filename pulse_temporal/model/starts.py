"""A run that is to be started."""

from __future__ import annotations

from dataclasses import dataclass

from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.runs import RunStatus


@dataclass(frozen=True, slots=True)
class StartableRun:
    """A run, with all that its workflow is started with.

    Attributes:
        generation: That starts; a retry starts the next one.
        snapshot: What the run follows; shared, so nobody may change it.
        status: How it stands; another than ``pending`` when it is started again.
    """

    run_id: str
    tenant_id: str
    trigger_id: str
    definition_id: str
    generation: int
    snapshot: DefinitionSnapshot
    is_replay: bool = False
    is_dry_run: bool = False
    status: RunStatus = "pending"
