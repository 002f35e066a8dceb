"""The activity of a cron tick."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from pulse_temporal import contract
from pulse_temporal.activities.patience import doubting
from pulse_temporal.contract import CronTicked, CronTickInput
from pulse_temporal.errors import InvalidInputError, NotUnderstoodError
from pulse_temporal.failpoints import reach
from pulse_temporal.model.dialect import DIALECT
from pulse_temporal.services.definitions.ticks import excuse, judged_at, tick_signal
from pulse_temporal.services.runs.mirror import moment
from pulse_temporal.services.signals.emit import Emitter
from pulse_temporal.store import schedules
from pulse_temporal.store.database import Database
from pulse_temporal.store.schedules import ScheduleOwner

log: logging.Logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CronActivities:
    """Emits what schedules ask for, unless the definition has changed its mind since.

    Attributes:
        database: Where definitions are.
        emitter: Stores the signals.
        doubt: Called when Postgres has failed a tick.
    """

    database: Database
    emitter: Emitter
    doubt: Callable[[], None]

    @activity.defn(name=contract.CRON_TICK)
    async def tick(self, tick: CronTickInput) -> CronTicked:
        """Emit the signal of a tick, once for the definition and the tick's nominal time."""
        with doubting(self.doubt):
            return await self._tick(tick)

    async def _tick(self, tick: CronTickInput) -> CronTicked:
        clock, nominal = tick.clock, moment(tick.nominal_ms)
        try:
            owner, skipped = await self._judge(tick)
            if owner is None or skipped is not None:
                facts = {
                    "definition_id": clock.definition_id,
                    "nominal": f"{nominal}",
                    "reason": skipped,
                }
                log.info(
                    "The tick of definition %(definition_id)s at %(nominal)s emits nothing:"
                    " %(reason)s",
                    facts,
                    extra=facts,
                )
                return CronTicked(skipped=skipped)
            await reach("cron.before_emit")
            trigger = await self.emitter.emit_tick(tick_signal(owner, nominal), owner=owner.id)
        except (InvalidInputError, ValidationError) as error:
            # The tick itself is bad, and no repeat mends that; without this, Temporal would keep
            # its workflow open for ever.
            raise ApplicationError(
                str(error), type="PulseTickRefused", non_retryable=True
            ) from error
        await reach("cron.after_emit")
        return CronTicked(trigger_id=trigger.id, run_ids=trigger.run_ids)

    async def _judge(self, tick: CronTickInput) -> tuple[ScheduleOwner | None, str | None]:
        """Return the definition of a tick, and why it emits nothing; None when it does.

        Raises:
            NotUnderstoodError: The tick is left to workers of a newer release.
        """
        clock = tick.clock
        at = judged_at(tick, catchup=self.emitter.options.cron_catchup)
        async with self.database.session() as session:
            owner = await schedules.find_owner(
                session, clock.definition_id, tenant_id=clock.tenant_id
            )
            if owner is None:
                return None, "the definition is deleted"
            if owner.dialect > DIALECT:
                raise NotUnderstoodError(
                    f"Definition {owner.id} needs a newer Pulse than this process runs: dialect "
                    f"{owner.dialect}, and this one knows {DIALECT}. Its tick waits for a worker "
                    "of that release."
                )
            states = await schedules.story(session, owner, since=at)
        return owner, excuse(states, tick, at=at)

    def all(self) -> list[Callable[..., object]]:
        """Return every activity of this class, for the worker."""
        return [self.tick]
