"""Signals as pages, lists and the command line show them, and what a search finds."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from pulse_temporal.model.paths import Path
from pulse_temporal.model.runs import RunStatus, StepStatus
from pulse_temporal.model.values import Flag, Value


class SignalSummary(Value):
    """One stored signal as a list shows it, without its payload.

    Attributes:
        id: ``trg_`` + UUIDv7.
        runs: Runs that it started, replays left out; counted up to 1 000.
        replays: Runs that replays of it started; counted up to 1 000.
        caused_by_run_id: The run whose handler emitted it; None when the application did.
        root_signal_id: First signal of its chain; None when it is this one.
        depth: Number of signals before it in the chain.
        is_replay: Emitted by a replayed run.
    """

    id: str
    tenant_id: str
    source: str
    type: str
    resource_type: str | None = None
    resource_id: str | None = None
    environment: str | None = None
    idempotency_key: str | None = None
    runs: int = 0
    replays: int = 0
    caused_by_run_id: str | None = None
    root_signal_id: str | None = None
    depth: int = 0
    is_replay: Flag = False
    created_at: AwareDatetime


class ChainRun(Value):
    """A run in a chain, with the signals that its handlers emitted.

    Attributes:
        definition_name: As the definition is called now.
        status: A status of a newer release is shown as it is stored.
        signals: Oldest first.
    """

    id: str
    definition_id: str
    definition_name: str
    status: RunStatus | str
    is_replay: Flag = False
    created_at: AwareDatetime
    signals: tuple[ChainSignal, ...] = ()


class ChainSignal(Value):
    """A signal in a chain, with the runs that it started.

    Attributes:
        runs: Oldest first, replays among them.
    """

    id: str
    source: str
    type: str
    resource_type: str | None = None
    resource_id: str | None = None
    depth: int = 0
    created_at: AwareDatetime
    runs: tuple[ChainRun, ...] = ()


ChainRun.model_rebuild()


class SignalChain(Value):
    """The whole chain that a signal belongs to: signal, runs, the signals that they emitted.

    Attributes:
        root: First signal of the chain.
        nodes: Signals and runs in it; at most 1 000.
        is_cut: There are more than that.
    """

    root: ChainSignal
    nodes: int
    is_cut: Flag = False


SearchKind = Literal["run", "signal", "definition", "step"]
MatchedBy = Literal[
    "id", "id_prefix", "idempotency_key", "resource_id", "definition_name", "step_name"
]


class SearchResult(Value):
    """Something that a search has found.

    Attributes:
        kind: What ``id`` is of.
        matched_by: What the text was equal to, or the beginning of.
        title: The definition's name, the signal's type, or the step's name.
        detail: The step's name, the resource or the idempotency key that matched.
        status: Of a run or a step.
        run_id: The run that a step is part of.
        path: Of a step.
    """

    kind: SearchKind
    id: str
    tenant_id: str
    matched_by: MatchedBy
    title: str
    detail: str | None = None
    status: RunStatus | StepStatus | str | None = None
    run_id: str | None = None
    path: Path | None = None
    created_at: AwareDatetime
