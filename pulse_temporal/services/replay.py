"""Run a stored signal again, with the definitions that match it now."""

from __future__ import annotations

from pulse_temporal.errors import NotFoundError, StoreError, TransactionInDoubtError
from pulse_temporal.model.runs import WorkflowRun
from pulse_temporal.model.signals import TriggerInput
from pulse_temporal.services.emit import Emitter
from pulse_temporal.services.history import History
from pulse_temporal.services.ticks import tick_owner
from pulse_temporal.store.triggers import NewTrigger


async def replay(
    emitter: Emitter, history: History, trigger_id: str, *, tenant_id: str | None, is_dry_run: bool
) -> list[WorkflowRun]:
    """Plan replay runs for a stored trigger; see ``Engine.replay``."""
    trigger = await history.get_trigger(trigger_id, tenant_id=tenant_id)
    if trigger is None:
        raise NotFoundError(f"There is no trigger {trigger_id}.")
    signal = TriggerInput.model_construct(
        **{name: getattr(trigger, name) for name in TriggerInput.model_fields}
    )
    again = NewTrigger(
        id=trigger.id,
        signal=signal,
        payload="{}",
        request_hash="",
        task_queue=emitter.options.task_queue,
        owner=tick_owner(trigger),
        is_stored=True,
        is_dry_run=is_dry_run,
        most_runs=emitter.options.limits.runs_per_signal,
        most_steps=emitter.options.limits.steps_per_signal,
    )
    envelope = await emitter.store(again)
    try:
        return await history.read_runs(envelope.run_ids)
    except StoreError as error:
        # The runs are committed: an error that invites a repetition would make them twice.
        raise TransactionInDoubtError(
            f"The replay is stored and its runs start, but they could not be read: {error} To "
            f"replay again would start them twice. get_run reads {', '.join(envelope.run_ids)}."
        ) from error.__cause__
