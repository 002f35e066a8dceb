"""Run a stored signal again with the definitions that match it now."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from pulse_temporal.errors import (
    IdempotencyConflictError,
    InvalidInputError,
    NotFoundError,
    StoreError,
    TransactionInDoubtError,
)
from pulse_temporal.model.runs import WorkflowRun
from pulse_temporal.model.values import JsonObject, Name
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.runs.history import History
from pulse_temporal.services.signals.emit import Emitter
from pulse_temporal.store import audit, replays, triggers
from pulse_temporal.store.rows import required
from pulse_temporal.store.triggers import NewTrigger

KEY: TypeAdapter[str] = TypeAdapter(Name)


async def replay(  # noqa: PLR0913 - all but the first three are given by name
    emitter: Emitter,
    history: History,
    trigger_id: str,
    *,
    tenant_id: str | None,
    is_dry_run: bool,
    key: str | None,
    reason: str | None,
) -> list[WorkflowRun]:
    """Plan replay runs for a stored trigger; see ``Engine.replay``."""
    trigger = await history.get_trigger(trigger_id, tenant_id=tenant_id)
    if trigger is None:
        raise NotFoundError(f"There is no trigger {trigger_id}.")
    again = emitter.intake.replay(trigger, is_dry_run=is_dry_run)
    if key is None:
        run_ids = await _planned(emitter, again, reason=reason)
    else:
        run_ids = await _planned_once(emitter, again, key=_checked(key), reason=reason)
    try:
        return await history.read_runs(run_ids)
    except StoreError as error:
        advice = (
            "To replay again would start them twice."
            if key is None
            else "Repeat it with the same idempotency_key."
        )
        # The runs are committed: an error that invites a repetition would make them twice.
        raise TransactionInDoubtError(
            f"The replay is stored and its runs start, but they could not be read: {error} "
            f"{advice} get_run reads {', '.join(run_ids)}."
        ) from error.__cause__


async def replay_in(  # noqa: PLR0913 - all but the first three are given by name
    session: Session,
    emitter: Emitter,
    trigger_id: str,
    *,
    tenant_id: str,
    key: str,
    reason: str | None,
    detail: JsonObject,
) -> tuple[str, ...] | None:
    """Plan replay runs in a transaction; return their ids, None: they were planned before.

    Args:
        session: In the transaction.
        emitter: Of the engine.
        trigger_id: The signal.
        tenant_id: Whose it is.
        key: A replay of this key happens once.
        reason: For the audit.
        detail: For the audit.

    Raises:
        NotFoundError: There is no such trigger.
    """
    trigger = await triggers.get_trigger(session, trigger_id, tenant_id=tenant_id)
    if trigger is None:
        raise NotFoundError(f"There is no trigger {trigger_id}.")
    again = emitter.intake.replay(trigger, is_dry_run=False)
    is_new = await replays.take(
        session, tenant_id=tenant_id, key=key, trigger_id=trigger_id, is_dry_run=False
    )
    if not is_new:
        return None
    run_ids = await _store(emitter, session, again, reason=reason, detail=detail)
    await replays.note(session, tenant_id=tenant_id, key=key, run_ids=run_ids)
    return run_ids


async def _planned(emitter: Emitter, again: NewTrigger, *, reason: str | None) -> tuple[str, ...]:
    """Plan the runs of a replay, whatever was replayed before, and return their ids."""
    async with emitter.transaction() as connection:
        session = await emitter.database.join(connection)
        return await _store(emitter, session, again, reason=reason)


async def _store(
    emitter: Emitter,
    session: Session,
    again: NewTrigger,
    *,
    reason: str | None,
    detail: JsonObject | None = None,
) -> tuple[str, ...]:
    """Plan the runs of a replay in a transaction, and record who has asked for them."""
    stored = await emitter.writer.store(again, connection=session.connection)
    await audit.record(
        session,
        "signal.replay",
        again.id,
        tenant_id=again.signal.tenant_id,
        reason=reason,
        detail={"dryRun": again.is_dry_run, "runs": len(stored.run_ids), **(detail or {})},
    )
    return stored.run_ids


async def _planned_once(
    emitter: Emitter, again: NewTrigger, *, key: str, reason: str | None
) -> tuple[str, ...]:
    """Plan the runs of a replay and return their ids, or those that were planned under its key.

    Key and runs commit together: a repetition after a lost answer finds both, or neither.

    Raises:
        IdempotencyConflictError: The key belongs to the replay of another trigger, or to one
            that was a dry run where this one is not, or the other way round.
    """
    tenant_id = again.signal.tenant_id
    async with emitter.transaction() as connection:
        session = await emitter.database.join(connection)
        is_new = await replays.take(
            session,
            tenant_id=tenant_id,
            key=key,
            trigger_id=again.id,
            is_dry_run=again.is_dry_run,
        )
        if is_new:
            run_ids = await _store(emitter, session, again, reason=reason)
            await replays.note(session, tenant_id=tenant_id, key=key, run_ids=run_ids)
            return run_ids
        first = required(await replays.find(session, tenant_id=tenant_id, key=key), "a replay")
    if (first.trigger_id, first.is_dry_run) != (again.id, again.is_dry_run):
        kind = "dry run" if first.is_dry_run else "replay"
        raise IdempotencyConflictError(
            f"The idempotency key {key!r} belongs to a {kind} of trigger {first.trigger_id}.",
            trigger_id=first.trigger_id,
        )
    return first.run_ids


def _checked(key: str) -> str:
    """Return a key that can be stored.

    Raises:
        InvalidInputError: It is not one line of 1 to 200 characters.
    """
    try:
        return KEY.validate_python(key)
    except ValidationError as error:
        reason = error.errors(include_input=False)[0]["msg"]
    raise InvalidInputError(f"idempotency_key: {reason}.")
