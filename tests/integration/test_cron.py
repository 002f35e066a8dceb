"""A definition's cron and its Temporal Schedule: one follows the other, whatever happens."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest
from temporalio.client import (
    ScheduleOverlapPolicy,
    ScheduleRange,
)

from pulse_temporal import (
    DefinitionError,
    InvalidInputError,
    NotFoundError,
    create_engine,
)
from pulse_temporal.temporal.attributes import SEARCH_ATTRIBUTES
from pulse_temporal.temporal.client import connect
from tests.harness import PulseTest
from tests.integration.clocks import NOON, Clocks

FAR = "0 0 29 2 *"
"""Never fires while a test runs."""


@pytest.fixture
async def clocks(pulse: PulseTest, connection: asyncpg.Connection) -> Clocks:
    client = await connect(pulse.temporal_address, namespace="default")
    return Clocks(pulse, client, connection)


async def test_a_schedule_has_the_calendars_of_its_expression(
    pulse: PulseTest, clocks: Clocks
) -> None:
    definition = await pulse.define(
        "clean.up", cronExpression="30 9 13 * FRI#1", timezone="Europe/Berlin"
    )

    schedule = await clocks.exists(definition.id)

    spec = schedule.spec
    assert spec.time_zone_name == "Europe/Berlin"
    assert [calendar.day_of_month for calendar in spec.calendars] == [
        (ScheduleRange(13),),
        (ScheduleRange(1, 7),),
    ]
    assert [calendar.day_of_week for calendar in spec.calendars] == [
        (ScheduleRange(0, 6),),
        (ScheduleRange(5),),
    ]
    for calendar in spec.calendars:
        assert (calendar.minute, calendar.hour) == ((ScheduleRange(30),), (ScheduleRange(9),))
        assert calendar.comment == "30 9 13 * FRI#1"
    assert (schedule.state.paused, schedule.state.note) == (
        False,
        "30 9 13 * FRI#1 (Europe/Berlin)",
    )


async def test_a_schedule_lets_ticks_overlap_and_catches_up_for_a_minute(
    pulse: PulseTest, clocks: Clocks
) -> None:
    definition = await pulse.define("clean.up", cronExpression=FAR)

    policy = (await clocks.exists(definition.id)).policy

    assert policy.overlap == ScheduleOverlapPolicy.ALLOW_ALL
    assert policy.catchup_window == timedelta(minutes=1)


async def test_schedules_are_found_by_tenant_and_definition(
    pulse: PulseTest, clocks: Clocks
) -> None:
    definition = await pulse.define("clean.up", cronExpression=FAR, tenant_id="tenant-b")
    await clocks.exists(definition.id)

    found = await clocks.find(definition.id)

    assert found is not None
    labels = found.typed_search_attributes
    assert labels[SEARCH_ATTRIBUTES["PulseTenant"]] == "tenant-b"
    assert labels[SEARCH_ATTRIBUTES["PulseDefinition"]] == definition.id


async def test_a_definition_without_cron_has_no_schedule(pulse: PulseTest, clocks: Clocks) -> None:
    definition = await pulse.define("clean.up")
    await pulse.engine.disable_workflow(definition.id)

    assert await clocks.settled(definition.id) is None


async def test_disabling_pauses_and_enabling_resumes(pulse: PulseTest, clocks: Clocks) -> None:
    definition = await pulse.define("clean.up", cronExpression=FAR)

    await pulse.engine.disable_workflow(definition.id)
    disabled = await clocks.exists(definition.id)
    await pulse.engine.enable_workflow(definition.id)
    enabled = await clocks.exists(definition.id)

    assert (disabled.state.paused, enabled.state.paused) == (True, False)


async def test_a_definition_stored_disabled_has_a_paused_schedule(
    pulse: PulseTest, clocks: Clocks
) -> None:
    definition = await pulse.define("clean.up", cronExpression=FAR, isEnabled=False)

    assert (await clocks.exists(definition.id)).state.paused


async def test_a_changed_expression_or_zone_changes_the_schedule(
    pulse: PulseTest, clocks: Clocks
) -> None:
    definition = await pulse.define("clean.up", cronExpression="0 1 29 2 *")
    await clocks.exists(definition.id)

    await pulse.engine.update_workflow(
        definition.id, {"cronExpression": "0 2 29 2 *", "timezone": "Asia/Tokyo"}
    )
    schedule = await clocks.exists(definition.id)

    assert schedule.spec.time_zone_name == "Asia/Tokyo"
    assert [calendar.hour for calendar in schedule.spec.calendars] == [(ScheduleRange(2),)]


async def test_any_other_change_leaves_the_schedule_alone(
    pulse: PulseTest, clocks: Clocks
) -> None:
    """An update makes Temporal forget ticks from before it that it has not started yet."""
    definition = await pulse.define(
        "clean.up", cronExpression="0 0 L 2 MON", timezone="Asia/Tokyo"
    )
    await clocks.exists(definition.id)

    await pulse.engine.update_workflow(definition.id, {"name": "Other", "config": {"a": 1}})
    await pulse.engine.enable_workflow(definition.id)
    await clocks.exists(definition.id)

    found = await clocks.find(definition.id)
    assert found is not None
    assert not found.raw_description.info.HasField("update_time")


@pytest.mark.parametrize("change", ["delete", "clear"])
async def test_without_its_definition_or_its_cron_a_schedule_is_deleted(
    pulse: PulseTest, clocks: Clocks, change: str
) -> None:
    definition = await pulse.define("clean.up", cronExpression=FAR)
    await clocks.exists(definition.id)

    if change == "delete":
        await pulse.engine.delete_workflow(definition.id)
    else:
        await pulse.engine.update_workflow(definition.id, {"cronExpression": None})

    assert await clocks.settled(definition.id) is None


async def test_a_cron_that_comes_with_an_update_gets_a_schedule(
    pulse: PulseTest, clocks: Clocks
) -> None:
    definition = await pulse.define("clean.up")

    await pulse.engine.update_workflow(definition.id, {"cronExpression": FAR})

    assert await clocks.exists(definition.id)


async def test_a_schedule_that_somebody_deleted_comes_back_with_the_next_change(
    pulse: PulseTest, clocks: Clocks
) -> None:
    definition = await pulse.define("clean.up", cronExpression=FAR)
    await clocks.exists(definition.id)
    await clocks.handle(definition.id).delete()

    await pulse.engine.update_workflow(definition.id, {"name": "Other"})

    assert await clocks.exists(definition.id)


async def test_many_changes_at_once_end_in_the_last_state(
    pulse: PulseTest, clocks: Clocks
) -> None:
    definition = await pulse.define("clean.up", cronExpression=FAR)
    for _ in range(5):
        await pulse.engine.disable_workflow(definition.id)
        await pulse.engine.enable_workflow(definition.id)
    await pulse.engine.disable_workflow(definition.id)

    assert (await clocks.exists(definition.id)).state.paused


async def test_a_refused_definition_asks_for_no_schedule(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    with pytest.raises(DefinitionError, match="never fires"):
        await pulse.define("clean.up", cronExpression="0 0 31 2 *")

    assert await connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0


async def test_while_temporal_is_away_a_schedule_waits_in_the_outbox(
    idle_pulse: PulseTest, connection: asyncpg.Connection, database: str
) -> None:
    nowhere = create_engine(
        database, "127.0.0.1:1", queue_prefix=idle_pulse.engine.options.queue_prefix
    )
    async with nowhere:
        definition = await PulseTest(nowhere, dsn=database, temporal_address="127.0.0.1:1").define(
            "clean.up", cronExpression=FAR
        )
        waiting = await connection.fetch("SELECT kind, definition_id FROM pulse_outbox")
    assert [tuple(row.values()) for row in waiting] == [("schedule", definition.id)]

    await idle_pulse.engine.start()

    client = await connect(idle_pulse.temporal_address, namespace="default")
    assert await Clocks(idle_pulse, client, connection).exists(definition.id)


async def test_a_tick_emits_a_signal_and_starts_its_owner(
    pulse: PulseTest, clocks: Clocks
) -> None:
    sweep = pulse.action("sweep")
    definition = await pulse.define("clean.up", "sweep", cronExpression="0 12 * * *")
    await clocks.exists(definition.id)

    ticked = await clocks.tick(definition.id)

    (run_id,) = ticked.run_ids
    assert (await pulse.engine.wait_for_run(run_id)).status == "completed"
    trigger = sweep.calls[0].trigger
    assert (trigger.id, trigger.type, trigger.source) == (ticked.trigger_id, "clean.up", "cron")
    assert trigger.payload == {
        "scheduledAt": "2026-03-02T12:00:00Z",
        "definitionId": definition.id,
        "timezone": "UTC",
    }
    assert trigger.idempotency_key == f"cron:{definition.id}:2026-03-02T12:00:00Z"


async def test_a_tick_that_is_delivered_again_is_the_same_signal(
    pulse: PulseTest, clocks: Clocks
) -> None:
    """Even when the definition has changed in between."""
    definition = await pulse.define("clean.up", cronExpression="0 12 * * *")
    await clocks.exists(definition.id)
    first = await clocks.tick(definition.id)

    await pulse.engine.update_workflow(
        definition.id, {"environmentFilter": "production", "timezone": "Etc/UTC"}
    )
    await clocks.exists(definition.id)
    again = await clocks.tick(definition.id)

    assert (again.trigger_id, again.run_ids) == (first.trigger_id, first.run_ids)
    assert await clocks.triggers() == 1


async def test_a_tick_starts_others_of_its_type_only_when_they_have_no_cron(
    pulse: PulseTest, clocks: Clocks
) -> None:
    owner = await pulse.define("clean.up", cronExpression="0 12 * * *")
    plain = await pulse.define("clean.up")
    await pulse.define("clean.up", cronExpression="0 12 * * *")
    await pulse.define("clean.up", tenant_id="tenant-b")
    await clocks.exists(owner.id)

    ticked = await clocks.tick(owner.id)

    runs = [await pulse.engine.wait_for_run(run_id) for run_id in ticked.run_ids]
    assert [run.definition_id for run in runs] == [owner.id, plain.id]


async def test_an_ordinary_signal_starts_a_definition_with_cron_too(pulse: PulseTest) -> None:
    await pulse.define("clean.up", cronExpression=FAR)

    run = await pulse.emit_and_wait("clean.up")

    assert run.status == "completed"


async def test_a_tick_passes_its_owners_filters(pulse: PulseTest, clocks: Clocks) -> None:
    definition = await pulse.define(
        "clean.up",
        cronExpression="0 12 * * *",
        environmentFilter="production",
        resourceTypeFilter="service",
    )
    await clocks.exists(definition.id)

    ticked = await clocks.tick(definition.id)

    assert len(ticked.run_ids) == 1
    trigger = await pulse.engine.get_trigger(ticked.trigger_id or "")
    assert trigger is not None
    assert (trigger.environment, trigger.resource_type) == ("production", "service")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("disable", "the definition is disabled"),
        ("delete", "the definition is deleted"),
        ("clear", "the definition has no cron any more"),
        ("move", "the definition's cron has changed"),
    ],
)
async def test_a_tick_of_a_definition_that_has_changed_its_mind_emits_nothing(
    pulse: PulseTest, clocks: Clocks, change: str, reason: str
) -> None:
    """Ticks may come late: the schedule follows its row after a moment."""
    definition = await pulse.define("clean.up", cronExpression="0 12 * * *")
    lagging = await clocks.lagging(definition.id)
    if change == "disable":
        await pulse.engine.disable_workflow(definition.id)
    elif change == "delete":
        await pulse.engine.delete_workflow(definition.id)
    else:
        expression = None if change == "clear" else "0 13 * * *"
        await pulse.engine.update_workflow(definition.id, {"cronExpression": expression})

    ticked = await (await clocks.start_tick(lagging)).result()

    assert (ticked.trigger_id, ticked.skipped) == (None, reason)
    assert await clocks.triggers() == 0


async def test_a_tick_that_the_new_cron_names_too_is_not_lost(
    pulse: PulseTest, clocks: Clocks
) -> None:
    definition = await pulse.define("clean.up", cronExpression="0 12 * * *")
    lagging = await clocks.lagging(definition.id)
    await pulse.engine.update_workflow(definition.id, {"cronExpression": "*/5 * * * *"})

    ticked = await (await clocks.start_tick(lagging)).result()

    assert len(ticked.run_ids) == 1


async def test_ticks_of_the_time_while_disabled_are_not_caught_up(
    pulse: PulseTest, clocks: Clocks
) -> None:
    """Not even those that Temporal started because no worker was there to pause it."""
    definition = await pulse.define("clean.up", cronExpression="0 12 * * *")
    await clocks.exists(definition.id)
    await pulse.engine.stop()

    await pulse.engine.disable_workflow(definition.id)
    tick = await clocks.start_tick(clocks.handle(definition.id))
    await pulse.engine.enable_workflow(definition.id)
    await pulse.engine.start()

    ticked = await tick.result()
    assert ticked.skipped == "the definition was enabled later"
    tomorrow = await clocks.tick(definition.id, NOON + timedelta(days=1))
    assert len(tomorrow.run_ids) == 1


async def test_a_tick_waits_for_a_worker(pulse: PulseTest, clocks: Clocks) -> None:
    """Nobody at work at the tick's time is no reason to lose it."""
    definition = await pulse.define("clean.up", cronExpression="0 12 * * *")
    await clocks.exists(definition.id)
    await pulse.engine.stop()
    tick = await clocks.start_tick(clocks.handle(definition.id))

    await pulse.engine.start()

    assert len((await tick.result()).run_ids) == 1


async def test_next_runs_are_what_temporal_will_do(pulse: PulseTest, clocks: Clocks) -> None:
    definition = await pulse.define(
        "clean.up", cronExpression="0 12 * * MON-FRI", timezone="America/New_York"
    )
    await clocks.exists(definition.id)
    found = await clocks.find(definition.id)

    times = await pulse.engine.next_runs(definition.id, 10)

    assert found is not None
    assert times == list(found.info.next_action_times)


async def test_next_runs_of_what_does_not_tick(pulse: PulseTest) -> None:
    plain = await pulse.define("clean.up")
    disabled = await pulse.define("clean.up", cronExpression=FAR, isEnabled=False)

    assert await pulse.engine.next_runs(plain.id) == []
    assert await pulse.engine.next_runs(disabled.id) == []
    with pytest.raises(NotFoundError):
        await pulse.engine.next_runs(plain.id, tenant_id="tenant-b")
    with pytest.raises(InvalidInputError):
        await pulse.engine.next_runs(plain.id, 0)
