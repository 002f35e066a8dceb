"""Decide whether a cron tick emits a signal, and which one.

A tick is judged by the definition as it was at the tick's time, however late it is delivered: it
fires if the definition was enabled then and its cron named that time. What its run does is what
the definition says when the signal is stored, as for every signal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from pulse_temporal.contract import CronTickInput
from pulse_temporal.errors import DefinitionError
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.services.definitions.cron import parse_cron
from pulse_temporal.services.runs.mirror import moment
from pulse_temporal.store.schedules import ScheduleOwner, ScheduleState

SOURCE = "cron"

MOST_DUE = 1_000
"""Missed ticks that are started for one state, oldest first; Temporal has the same bound."""

SLACK = timedelta(minutes=1)
"""How long after the end of the catch-up window Temporal may still start a tick by itself."""

_INSTANT = timedelta(microseconds=1)


def tick_signal(owner: ScheduleOwner, nominal: datetime) -> TriggerInput:
    """Return the signal of a tick; by its key it is stored once, however often it is delivered."""
    scheduled_at = f"{nominal:%Y-%m-%dT%H:%M:%SZ}"
    return TriggerInput(
        tenant_id=owner.tenant_id,
        source=SOURCE,
        type=owner.trigger_type,
        resource_type=owner.resource_type_filter,
        environment=owner.environment_filter,
        payload={
            "scheduledAt": scheduled_at,
            "definitionId": owner.id,
            "timezone": owner.timezone,
        },
        idempotency_key=tick_key(owner.id, nominal),
    )


def tick_key(definition_id: str, nominal: datetime) -> str:
    """Return the idempotency key of a definition's tick."""
    return f"cron:{definition_id}:{nominal:%Y-%m-%dT%H:%M:%SZ}"


def tick_owner(trigger: TriggerEnvelope) -> str | None:
    """Return the id of the definition whose tick a stored signal is; None if it is no tick.

    The key proves it: only Pulse may use keys that begin with ``cron:``, while anybody may emit
    the same source and payload.
    """
    definition_id, scheduled_at = (
        trigger.payload.get(name) for name in ("definitionId", "scheduledAt")
    )
    is_tick = trigger.idempotency_key == f"cron:{definition_id}:{scheduled_at}"
    is_tick = is_tick and trigger.source == SOURCE
    return definition_id if is_tick and isinstance(definition_id, str) else None


def judged_at(tick: CronTickInput, *, catchup: timedelta) -> datetime:
    """Return the moment at which a definition must have been enabled for a tick to fire.

    That is the time that the tick names. But a tick that is older than Temporal would start by
    itself comes from a backfill that somebody has asked for: then it is the moment of its start.
    """
    nominal, started = moment(tick.nominal_ms), moment(tick.started_ms)
    return nominal if nominal >= started - catchup - SLACK else started


def excuse(states: Sequence[ScheduleState], tick: CronTickInput, *, at: datetime) -> str | None:
    """Return why a tick emits nothing; None when it emits.

    A schedule lags behind its definition by a moment. A tick of the old schedule counts if the
    cron that held at its time names that time too.

    Args:
        states: Of the definition, oldest first; at least one.
        tick: The tick.
        at: What ``judged_at`` returns for it.
    """
    state = next((each for each in reversed(states) if each.since <= at), states[0])
    if state.is_deleted:
        return "the definition is deleted"
    if not state.is_enabled:
        is_later = states[-1].is_enabled
        return "the definition was enabled later" if is_later else "the definition is disabled"
    if state.cron_expression is None:
        return "the definition has no cron any more"
    told = (tick.clock.cron_expression, tick.clock.timezone)
    if told == (state.cron_expression, state.timezone):
        return None
    cron = parse_cron(state.cron_expression, state.timezone)
    return None if cron.fires_at(moment(tick.nominal_ms)) else "the definition's cron has changed"


def due_times(
    states: Sequence[ScheduleState], *, since: datetime, until: datetime
) -> Iterator[tuple[datetime, ScheduleState]]:
    """Yield the times at which a definition had to tick, oldest first, with the state that held.

    Args:
        states: Of the definition, oldest first; it has no times before the first one.
        since: The first moment that counts.
        until: The last moment that counts.
    """
    for number, state in enumerate(states):
        if not state.is_enabled or state.is_deleted or state.cron_expression is None:
            continue
        # A state holds from `since` on, up to but without the `since` of the next one, while
        # `times_after` leaves out the moment that it is given.
        begin = max(state.since, since) - _INSTANT
        later = states[number + 1 : number + 2]
        end = min(until, later[0].since - _INSTANT) if later else until
        try:
            times = parse_cron(state.cron_expression, state.timezone).times_after(begin)
        except DefinitionError:  # stored by a release that did not refuse it yet; it never ticked
            continue
        for time in islice(times, MOST_DUE):
            if time > end:
                break
            yield time, state
