"""No tick is lost between a change of a definition and Temporal, and none is judged too late."""

from __future__ import annotations

import zoneinfo
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from temporalio.client import Client

from pulse_temporal import DefinitionError, WorkflowDefinition, contract
from pulse_temporal.services.definitions import cron
from tests.harness import PulseTest, eventually, make_pulse

CATCHUP = timedelta(minutes=5)
MINUTE = timedelta(minutes=1)
EVERY_MINUTE = "* * * * *"
FAR = "0 0 29 2 *"
PAST = timedelta(minutes=3, seconds=30)
"""How long ago the tests' changes were made: three full minutes, or four."""


class Past:
    """Definitions whose changes were made a while ago, while no worker lived."""

    def __init__(self, pulse: PulseTest, connection: asyncpg.Connection) -> None:
        self.pulse = pulse
        self.connection = connection

    async def age(self, definition: WorkflowDefinition, *versions: timedelta) -> datetime:
        """Date a definition's last versions back; give the moment of the newest."""
        number = await self.connection.fetchval(
            "SELECT max(version) FROM pulse_definition_versions WHERE definition_id = $1",
            definition.id,
        )
        moment = datetime.min.replace(tzinfo=UTC)
        for version, ago in enumerate(versions, number - len(versions) + 1):
            moment = await self.connection.fetchval(
                "UPDATE pulse_definition_versions SET valid_from = now() - $3::interval"
                " WHERE definition_id = $1 AND version = $2 RETURNING valid_from",
                definition.id,
                version,
                ago,
            )
        return moment

    async def start(self) -> datetime:
        """Let a worker live, wait until all schedules follow, and give the time."""
        await self.pulse.engine.start()
        return await self.quiet()

    async def quiet(self) -> datetime:
        """Wait until all schedules follow, and give the time."""

        async def is_quiet() -> bool:
            return await self.connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0

        await eventually(is_quiet)
        return await self.connection.fetchval("SELECT now()")

    async def ticks(self, definition: WorkflowDefinition) -> list[datetime]:
        """Return the times of a definition's signals."""
        rows = await self.connection.fetch(
            "SELECT (payload ->> 'scheduledAt')::timestamptz AS at FROM pulse_triggers"
            " WHERE payload ->> 'definitionId' = $1 ORDER BY at",
            definition.id,
        )
        return [row["at"] for row in rows]

    async def ticked(self, definition: WorkflowDefinition, wanted: list[datetime]) -> None:
        """Wait until a definition has ticked at these times; later ones may come too."""
        assert wanted

        async def have_come() -> bool:
            return set(wanted) <= set(await self.ticks(definition))

        await eventually(have_come)


@pytest.fixture
async def past(
    database: str, idle_pulse: PulseTest, connection: asyncpg.Connection
) -> AsyncGenerator[Past]:
    """Yield an engine that is not started and catches up for minutes."""
    made = make_pulse(database, idle_pulse.temporal_address, like=idle_pulse, cron_catchup=CATCHUP)
    made.action("act")
    yield Past(made, connection)
    await made.engine.stop()


@pytest.fixture
def moon(tmp_path: Path) -> Generator[str]:
    """Yield a time zone that this machine knows and Temporal does not."""
    before = zoneinfo.TZPATH
    zone = next(Path(folder, "UTC") for folder in before if Path(folder, "UTC").is_file())
    (tmp_path / "Moon").mkdir()
    (tmp_path / "Moon/Base").write_bytes(zone.read_bytes())
    zoneinfo.reset_tzpath([*before, str(tmp_path)])
    cron.zones.cache_clear()
    yield "Moon/Base"
    zoneinfo.reset_tzpath(before)
    cron.zones.cache_clear()


def minutes(after: datetime, until: datetime) -> list[datetime]:
    """Return the full minutes from one moment to another."""
    first = after.replace(second=0, microsecond=0) + MINUTE
    return [first + number * MINUTE for number in range((until - first) // MINUTE + 1)]


@pytest.mark.parametrize("change", ["create", "enable", "expression", "timezone"])
async def test_ticks_between_a_change_and_the_relay_are_made_up_for(
    past: Past, change: str
) -> None:
    """And none from before the change."""
    engine = past.pulse.engine
    definition = await past.pulse.define(
        "clean.up",
        "act",
        cronExpression=FAR if change in {"expression", "timezone"} else EVERY_MINUTE,
        isEnabled=change != "enable",
    )
    if change == "enable":
        await engine.enable_workflow(definition.id)
    elif change != "create":
        zone = "Asia/Tokyo" if change == "timezone" else "UTC"
        await engine.update_workflow(
            definition.id, {"cronExpression": EVERY_MINUTE, "timezone": zone}
        )
    ages = [PAST] if change == "create" else [CATCHUP * 2, PAST]
    since = await past.age(definition, *ages)

    now = await past.start()

    await past.ticked(definition, minutes(since, now))
    assert (await past.ticks(definition))[0] > since


async def test_ticks_from_before_the_catch_up_window_are_lost(past: Past) -> None:
    definition = await past.pulse.define("clean.up", "act", cronExpression=EVERY_MINUTE)
    await past.age(definition, CATCHUP * 2)

    now = await past.start()

    await past.ticked(definition, minutes(now - CATCHUP, now)[1:])
    assert (await past.ticks(definition))[0] >= now - CATCHUP - MINUTE


@pytest.mark.parametrize("change", ["disable", "delete", "expression", "clear"])
async def test_ticks_that_were_due_before_a_change_come_and_later_ones_do_not(
    past: Past, change: str
) -> None:
    engine = past.pulse.engine
    definition = await past.pulse.define("clean.up", "act", cronExpression=EVERY_MINUTE)
    if change == "disable":
        await engine.disable_workflow(definition.id)
    elif change == "delete":
        await engine.delete_workflow(definition.id)
    else:
        expression = FAR if change == "expression" else None
        await engine.update_workflow(definition.id, {"cronExpression": expression})
    until = await past.age(definition, PAST, timedelta(seconds=70))

    await past.start()

    due = minutes(until + timedelta(seconds=70) - PAST, until)
    await past.ticked(definition, due)
    assert await past.ticks(definition) == due
    runs = (await engine.list_runs()).items
    assert {run.definition_id for run in runs} == {definition.id}
    assert len(runs) == len(due)


async def test_a_schedule_that_was_deleted_in_temporal_misses_nothing(past: Past) -> None:
    definition = await past.pulse.define("clean.up", "act", cronExpression=EVERY_MINUTE)
    await past.start()
    client = await Client.connect(past.pulse.temporal_address)
    queue = past.pulse.engine.options.queue_prefix
    handle = client.get_schedule_handle(contract.schedule_id(queue, definition.id))
    await handle.delete()
    since = await past.age(definition, PAST)

    async def is_missed() -> bool:
        report = await past.pulse.engine.reconcile()
        return [repair.remedy for repair in report.repairs] == ["sync_schedule"]

    await eventually(is_missed)
    now = await past.quiet()

    await past.ticked(definition, minutes(since, now))


async def test_many_commands_about_one_definition_make_each_tick_once(past: Past) -> None:
    definition = await past.pulse.define("clean.up", "act", cronExpression=EVERY_MINUTE)
    since = await past.age(definition, PAST)
    now = await past.start()
    await past.ticked(definition, minutes(since, now))
    before = await past.ticks(definition)

    for number in range(3):
        await past.pulse.engine.update_workflow(definition.id, {"name": f"{number}"})
        await past.quiet()

    after = await past.ticks(definition)
    assert after[: len(before)] == before
    assert len(set(after)) == len(after)


async def test_a_zone_that_temporal_does_not_know_is_told_and_not_tried_for_ever(
    past: Past, moon: str
) -> None:
    engine = past.pulse.engine
    definition = await past.pulse.define("clean.up", "act", cronExpression=FAR, timezone=moon)

    await past.start()

    found = await engine.get_workflow(definition.id)
    assert found is not None
    assert found.schedule_error is not None
    assert "unknown time zone Moon/Base" in found.schedule_error
    assert (await engine.reconcile()).repairs == ()
    check = (await engine.check_health(compare=False)).check("schedules")
    assert check is not None
    assert (check.status, definition.id in check.summary) == ("warning", True)
    assert "unknown time zone Moon/Base" in check.summary

    changed = await engine.update_workflow(definition.id, {"timezone": "UTC"})
    await past.quiet()
    assert changed.schedule_error is None
    found = await engine.get_workflow(definition.id)
    assert found is not None
    assert found.schedule_error is None
    assert (await engine.reconcile()).repairs == ()
    check = (await engine.check_health(compare=False)).check("schedules")
    assert check is not None
    assert check.status == "ok"


@pytest.mark.parametrize("zone", ["localtime", "Factory", "posixrules"])
async def test_a_zone_file_that_is_no_iana_zone_is_refused(
    idle_pulse: PulseTest, zone: str
) -> None:
    with pytest.raises(DefinitionError, match="is not an IANA time zone"):
        await idle_pulse.define("clean.up", cronExpression=FAR, timezone=zone)
