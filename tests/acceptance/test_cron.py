"""Definitions that run on a timetable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, ScheduleBackfill, ScheduleHandle
from temporalio.service import RPCError

from pulse_temporal import (
    DefinitionError,
    RunFilter,
    WorkflowDefinition,
    WorkflowRun,
)
from tests.harness import TENANT, PulseTest, eventually


async def schedule_of(pulse: PulseTest, definition: WorkflowDefinition) -> ScheduleHandle:
    """Return the Temporal Schedule of a definition, when it is there."""
    client = await Client.connect(pulse.temporal_address)
    queue = pulse.engine.options.queue_prefix
    handle = client.get_schedule_handle(f"{queue}-cron-{definition.id}")

    async def exists() -> bool:
        try:
            await handle.describe()
        except RPCError:
            return False
        return True

    await eventually(exists)
    return handle


async def runs_of(pulse: PulseTest, number: int) -> list[WorkflowRun]:
    """Wait until so many runs are over, and give all that there are, oldest first."""

    async def look() -> list[WorkflowRun]:
        page = await pulse.engine.list_runs(RunFilter(tenant_id=TENANT, status="completed"))
        return list(page.items) if len(page.items) >= number else []

    return (await eventually(look))[::-1]


async def test_a_cron_runs_its_definition_at_every_tick(pulse: PulseTest) -> None:
    """No signal type needs to be registered: the tick is the signal."""
    clean = pulse.action("clean", returns={"deleted": 3})
    definition = await pulse.engine.create_workflow(
        {
            "tenantId": TENANT,
            "name": "Nightly clean-up",
            "triggerType": "clean-up.due",
            "cronExpression": "0 2 * * *",
            "timezone": "Europe/Berlin",
            "steps": [{"type": "action", "name": "clean"}],
        }
    )
    schedule = await schedule_of(pulse, definition)

    monday = datetime(2026, 6, 1, tzinfo=UTC)
    await schedule.backfill(ScheduleBackfill(monday, monday + timedelta(days=2)))
    runs = await runs_of(pulse, 3)

    assert [run.context for run in runs] == [{"clean": {"deleted": 3}}] * 3
    payloads = [context.trigger.payload for context in clean.calls]
    assert sorted(str(payload["scheduledAt"]) for payload in payloads) == [
        "2026-06-01T00:00:00Z",
        "2026-06-02T00:00:00Z",
        "2026-06-03T00:00:00Z",
    ]
    assert {str(payload["timezone"]) for payload in payloads} == {"Europe/Berlin"}


async def test_an_operator_may_let_a_schedule_tick_now(pulse: PulseTest) -> None:
    """What "Trigger" in Temporal's web page does."""
    clean = pulse.action("clean")
    definition = await pulse.define("clean-up.due", "clean", cronExpression="@yearly")

    await (await schedule_of(pulse, definition)).trigger()

    (run,) = await runs_of(pulse, 1)
    assert (run.definition_id, clean.call_count) == (definition.id, 1)


async def test_next_runs_say_when(pulse: PulseTest) -> None:
    definition = await pulse.define(
        "clean-up.due", cronExpression="0 9 * * MON-FRI", timezone="Asia/Tokyo"
    )

    times = await pulse.engine.next_runs(definition.id)

    assert len(times) == 5
    assert times == sorted(times)
    assert times[0] > datetime.now(UTC)  # noqa: TID251 - the engine looks at the same clock
    assert all((time.tzinfo, time.hour, time.minute) == (UTC, 0, 0) for time in times)
    assert all(time.weekday() < 5 for time in times)


async def test_next_runs_of_a_disabled_definition_are_none(pulse: PulseTest) -> None:
    definition = await pulse.define("clean-up.due", cronExpression="@daily")
    assert len(await pulse.engine.next_runs(definition.id, 2)) == 2

    await pulse.engine.disable_workflow(definition.id)
    assert await pulse.engine.next_runs(definition.id, 2) == []

    await pulse.engine.enable_workflow(definition.id)
    assert len(await pulse.engine.next_runs(definition.id, 2)) == 2


async def test_an_author_is_told_what_is_wrong_with_a_cron(pulse: PulseTest) -> None:
    with pytest.raises(DefinitionError) as raised:
        await pulse.define(
            "clean-up.due",
            {"type": "delay", "name": "later", "delayMs": 0},
            cronExpression="0 25 * * mondays",
            timezone="Europe/Berln",
        )

    assert [str(problem) for problem in raised.value.problems] == [
        "/steps/0/delayMs: must be more than 0",
        '/cronExpression: hour: "25" must name 0 to 23',
        (
            '/cronExpression: day of week: "MONDAYS" must name 0 to 7, or SUN to SAT. '
            'Did you mean "MON"?'
        ),
        (
            '/timezone: "Europe/Berln" is not an IANA time zone such as Europe/Paris. '
            'Did you mean "Europe/Berlin"?'
        ),
    ]
