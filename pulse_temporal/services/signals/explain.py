"""Say why a signal started what it did, or what it would start; nothing is emitted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pulse_temporal.clock import utc_now
from pulse_temporal.config import Limits
from pulse_temporal.errors import IdempotencyConflictError, NotFoundError, UnknownSignalError
from pulse_temporal.model.explain import (
    Explanation,
    SignalOutcome,
    near_types,
    verdict_of,
)
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.definitions.ticks import tick_owner
from pulse_temporal.services.signals.intake import SignalIntake
from pulse_temporal.services.signals.known import known
from pulse_temporal.store import explain, triggers
from pulse_temporal.store.database import Database
from pulse_temporal.store.explain import Candidates
from pulse_temporal.store.triggers import NewTrigger

MOST_VERDICTS = 200


class Explainer:
    """Explains signals, stored ones as of their own moment and others as of now.

    Args:
        database: Where definitions and their versions are.
        intake: Checks a signal as emit does.
        limits: Of what a signal may start at once.
    """

    def __init__(self, database: Database, intake: SignalIntake, limits: Limits) -> None:
        self.database = database
        self.intake = intake
        self.limits = limits

    async def explain_stored(self, trigger_id: str, *, tenant_id: str | None) -> Explanation:
        """Explain a stored signal.

        Raises:
            NotFoundError: There is no such trigger.
        """
        async with self.database.session() as session:
            trigger = await triggers.get_trigger(session, trigger_id, tenant_id=tenant_id)
            if trigger is None:
                raise NotFoundError(f"There is no trigger {trigger_id}.")
            found = await _candidates(session, trigger, owner=tick_owner(trigger))
        return _explanation(trigger, found, at=trigger.created_at, runs=found.started)

    async def explain_new(self, signal: TriggerInput | Mapping[str, object]) -> Explanation:
        """Explain what a signal would start if it were emitted now.

        Raises:
            SignalError: As emit, but for a type that is not registered.
            JsonValueError: As emit.
        """
        at = utc_now()
        try:
            checked = self.intake.accept(signal)
        except UnknownSignalError as error:
            return Explanation(at=at, outcome="unregistered", reason=str(error))
        async with self.database.session() as session:
            earlier = await _earlier(session, checked, at=at)
            if earlier is not None:
                return earlier
            found = await _candidates(session, checked.signal, owner=None)
        excess = self._excess(found)
        if excess is None:
            return _explanation(checked.signal, found, at=at, runs=found.matching)
        plain = _explanation(checked.signal, found, at=at, runs=0)
        return plain.model_copy(update={"outcome": "over_limits", "reason": excess})

    def _excess(self, found: Candidates) -> str | None:
        """Return why emit would refuse to start so much; None when it would not."""
        limits = self.limits
        if found.matching > limits.runs_per_signal:
            return (
                f"It would start {found.matching} runs at once; limits.runs_per_signal allows "
                f"{limits.runs_per_signal}."
            )
        if found.steps > limits.steps_per_signal:
            return (
                f"Its runs would have {found.steps} steps altogether; limits.steps_per_signal "
                f"allows {limits.steps_per_signal}."
            )
        return None


async def _earlier(session: Session, checked: NewTrigger, *, at: datetime) -> Explanation | None:
    """Return the explanation of a signal whose idempotency key an earlier one has."""
    found = await triggers.find_by_keys(session, [checked.key]) if checked.key else {}
    if not found:
        return None
    try:
        first = known(checked, found)
    except IdempotencyConflictError as error:
        return Explanation(
            signal_id=error.trigger_id, at=at, outcome="deduplicated", reason=str(error)
        )
    reason = f"An earlier signal, {first.id}, has its idempotency key; emit returns that one."
    return Explanation(signal_id=first.id, at=at, outcome="deduplicated", reason=reason)


async def _candidates(session: Session, signal: TriggerInput, *, owner: str | None) -> Candidates:
    """Read the definitions that a signal might start.

    Where nothing waits for its type, also those that wait for one like it.
    """
    found = await explain.candidates(
        session, signal, types=[signal.type], owner=owner, limit=MOST_VERDICTS
    )
    if any(candidate.is_of_type for candidate in found.found):
        return found
    near = near_types(signal.type, await explain.types(session, tenant_id=signal.tenant_id))
    if not near:
        return found
    return await explain.candidates(
        session, signal, types=[signal.type, *near], owner=owner, limit=MOST_VERDICTS
    )


def _explanation(
    signal: TriggerInput, found: Candidates, *, at: datetime, runs: int
) -> Explanation:
    stored = signal if isinstance(signal, TriggerEnvelope) else None
    outcome, reason = _outcome(signal, found, runs=runs)
    return Explanation(
        signal_id=stored.id if stored else None,
        at=at,
        outcome=outcome,
        reason=reason,
        runs=runs,
        verdicts=tuple(
            verdict_of(each, signal, since=stored.created_at if stored else None)
            for each in found.found
        ),
        others=found.total - len(found.found),
    )


def _outcome(
    signal: TriggerInput, found: Candidates, *, runs: int
) -> tuple[SignalOutcome | None, str | None]:
    """Return what decides about a signal as a whole: that nothing waits for its type."""
    if runs or any(candidate.is_of_type for candidate in found.found):
        return None, None
    near = sorted({each.trigger_type for each in found.found if each.trigger_type})
    hint = f' Did you mean "{near[0]}"?' if near else ""
    return (
        "no_definitions",
        f'No definition of tenant "{signal.tenant_id}" waits for "{signal.type}".{hint}',
    )
