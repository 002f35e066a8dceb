"""Turn what an emit has stored into the caller's envelope and the dispatcher's starts. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_core import from_json

from pulse_temporal.model.signals import TriggerEnvelope
from pulse_temporal.model.starts import StartableRun
from pulse_temporal.services.outbox.starts import PlannedStart
from pulse_temporal.store.triggers import Emitted, NewTrigger


def envelope_of(trigger: NewTrigger, emitted: Emitted) -> TriggerEnvelope:
    """Return the envelope for the caller of an emit, who may change its copy of the payload."""
    cause = trigger.cause
    return TriggerEnvelope.model_construct(
        **dict(trigger.signal) | {"payload": from_json(trigger.payload)},
        id=trigger.id,
        created_at=emitted.created_at,
        run_ids=tuple(planned.run_id for planned in emitted.runs),
        caused_by_run_id=cause.run_id if cause else None,
        root_trigger_id=cause.root_trigger_id if cause else None,
        depth=cause.depth if cause else 0,
        is_replay=cause.is_replay if cause else False,
    )


def starts_of(
    signals: Sequence[NewTrigger], emitted: Sequence[Emitted | None]
) -> list[PlannedStart]:
    """Return the starts of the signals' runs; none for a signal whose key was taken."""
    return [
        PlannedStart(
            planned.command.outbox_id,
            StartableRun(
                run_id=planned.run_id,
                tenant_id=trigger.signal.tenant_id,
                trigger_id=trigger.id,
                definition_id=planned.command.snapshot.definition_id,
                generation=1,
                snapshot=planned.command.snapshot,
                is_replay=trigger.is_replay,
                is_dry_run=trigger.is_dry_run,
            ),
        )
        for trigger, stored in zip(signals, emitted, strict=True)
        if stored is not None
        for planned in stored.runs
        if planned.command is not None
    ]
