"""The workflow that a schedule starts at each of its times."""

from __future__ import annotations

from datetime import datetime

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from pulse_temporal import contract
from pulse_temporal.contract import CronClock, CronTicked, CronTickInput
from pulse_temporal.workflows.calls import write_locally

SCHEDULED_TIME = SearchAttributeKey.for_datetime(contract.SCHEDULED_TIME_ATTRIBUTE)


@workflow.defn(name=contract.CRON_WORKFLOW)
class PulseCronTick:
    """A tick of a definition's cron: emits one signal, however often it is delivered."""

    @workflow.run
    async def run(self, clock: CronClock) -> CronTicked:
        """Emit the signal, as soon as Postgres can take it."""
        info = workflow.info()
        started = info.workflow_start_time
        nominal = info.typed_search_attributes.get(SCHEDULED_TIME, started)
        return await write_locally(
            contract.CRON_TICK,
            CronTickInput(clock=clock, nominal_ms=_ms(nominal), started_ms=_ms(started)),
            CronTicked,
            summary=f"tick of {nominal:%Y-%m-%d %H:%M:%S} UTC",
        )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
