"""The activity of a cron tick."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from pulse_temporal import contract
from pulse_temporal.contract import CronTicked, CronTickInput
from pulse_temporal.errors import InvalidInputError
from pulse_temporal.failpoints import reach
from pulse_temporal.model.signals import TriggerInput
from pulse_temporal.services.cron import parse_cron
from pulse_temporal.services.emit import Emitter
from pulse_temporal.services.mirror import moment
from pulse_temporal.store import schedules
from pulse_temporal.store.database import Database
from pulse_temporal.store.schedules import ScheduleOwner

log = logging.getLogger(__name__)

SOURCE = "cron"


@dataclass(frozen=True, slots=True)
class CronActivities:
    """Emits what schedules ask for, unless the definition has changed its mind since."""

    database: Database
    emitter: Emitter

    @activity.defn(name=contract.CRON_TICK)
    async def tick(self, tick: CronTickInput) -> CronTicked:
        """Emit the signal of a tick, once for the definition and the tick's nominal time."""
        clock, nominal = tick.clock, moment(tick.nominal_ms)
        async with self.database.session() as session:
            owner = await schedules.find_owner(
                session, clock.definition_id, tenant_id=clock.tenant_id
            )
        try:
            excuse = _excuse(owner, tick)
            if owner is None or excuse is not None:
                facts = {"definition_id": clock.definition_id, "reason": excuse}
                log.info("a cron tick emits nothing", extra=facts)
                return CronTicked(skipped=excuse)
            await reach("cron.before_emit")
            trigger = await self.emitter.emit_tick(_signal(owner, nominal), owner=owner.id)
        except (InvalidInputError, ValidationError) as error:
            raise ApplicationError(
                str(error), type="PulseTickRefused", non_retryable=True
            ) from error
        await reach("cron.after_emit")
        return CronTicked(trigger_id=trigger.id, run_ids=trigger.run_ids)

    def all(self) -> list[Callable[..., object]]:
        """Give every activity of this class, for the worker."""
        return [self.tick]


def _excuse(owner: ScheduleOwner | None, tick: CronTickInput) -> str | None:
    """Say why a tick emits nothing; None when it does.

    A schedule follows its row after a moment. A tick that it starts meanwhile counts when the
    cron of now names its time too.
    """
    if owner is None or owner.is_deleted:
        return "the definition is deleted"
    if not owner.is_enabled:
        return "the definition is disabled"
    if owner.enabled_at is not None and moment(tick.started_ms) < owner.enabled_at:
        return "the definition was enabled later"
    if owner.cron_expression is None:
        return "the definition has no cron any more"
    if (owner.cron_expression, owner.timezone) == (
        tick.clock.cron_expression,
        tick.clock.timezone,
    ):
        return None
    cron = parse_cron(owner.cron_expression, owner.timezone)
    return None if cron.fires_at(moment(tick.nominal_ms)) else "the definition's cron has changed"


def _signal(owner: ScheduleOwner, nominal: datetime) -> TriggerInput:
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
        idempotency_key=f"cron:{owner.id}:{scheduled_at}",
    )
