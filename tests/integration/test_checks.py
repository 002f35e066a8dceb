"""Postgres refuses a value that is in none of our closed sets, and lets releases extend them."""

from __future__ import annotations

import asyncio
import re
from typing import get_args

import asyncpg
import pytest

from pulse_temporal import MigrationError
from pulse_temporal.model.bulk import BulkKind, BulkOutcome, BulkStatus
from pulse_temporal.model.catalogue import CatalogKind
from pulse_temporal.model.definitions import VersionKind
from pulse_temporal.model.runs import AttemptStatus, RunStatus, StepStatus
from pulse_temporal.model.timeline import TimelineEntryType
from pulse_temporal.store.outbox import CommandKind
from tests.harness import TENANT, PulseTest, eventually

STORED_EVENTS = set(get_args(TimelineEntryType)) - {"run_created", "log"}
"""A run's creation and its log lines are told by their own rows."""

SETS = {
    ("pulse_catalog", "kind"): set(get_args(CatalogKind)),
    ("pulse_bulk_operations", "kind"): set(get_args(BulkKind)),
    ("pulse_bulk_operations", "status"): set(get_args(BulkStatus)),
    ("pulse_bulk_items", "outcome"): set(get_args(BulkOutcome)),
    ("pulse_outbox", "kind"): set(get_args(CommandKind)),
    ("pulse_run_control", "closed_as"): {"canceled", "failed"},
    ("pulse_step_attempts", "status"): set(get_args(AttemptStatus)),
    ("pulse_run_events", "kind"): STORED_EVENTS,
    ("pulse_definition_versions", "kind"): set(get_args(VersionKind)),
    ("pulse_workflow_runs", "status"): set(get_args(RunStatus)),
    ("pulse_workflow_step_runs", "status"): set(get_args(StepStatus)),
}
EACH_SET = pytest.mark.parametrize(
    ("table", "column"), SETS, ids=[f"{table}.{column}" for table, column in SETS]
)

ONE_ROW_EACH = """
INSERT INTO pulse_catalog (task_queue, kind, name, detail, published_by)
VALUES ('q', 'signal', 'x', '{}', 'wrk_x');
INSERT INTO pulse_step_attempts (
    step_run_id, claim, run_id, tenant_id, generation, epoch, attempt, status, worker_id,
    started_at, deadline_at, ended_at
)
SELECT id, 1, run_id, tenant_id, 1, 1, 1, 'lost', 'wrk_x', now(), now(), now()
FROM pulse_workflow_step_runs;
INSERT INTO pulse_run_events (run_id, tenant_id, generation, kind, path, at)
SELECT run_id, tenant_id, 1, 'step_scheduled', path, now() FROM pulse_workflow_step_runs
"""

WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass"

CHECKS = range(13, 21)
"""The migrations that make the checks and try them on all rows."""


def name_of(table: str, column: str) -> str:
    """Return the name of a column's check."""
    return f"{table}_{column}_known"


async def without_checks(connection: asyncpg.Connection) -> None:
    """Make the database one that a release before the checks has migrated."""
    for table, column in SETS:
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name_of(table, column)}")
    await connection.execute("DELETE FROM pulse_migrations WHERE version = ANY($1)", [*CHECKS])


async def emit_one(pulse: PulseTest, connection: asyncpg.Connection) -> None:
    """Put a row into every table that has a check."""
    pulse.action("pay")
    await pulse.define("order.paid", "pay")
    trigger = await pulse.emit("order.paid")
    await pulse.engine.start_bulk("cancel", run_ids=trigger.run_ids, tenant_id=TENANT)
    await connection.execute(ONE_ROW_EACH)


@EACH_SET
async def test_a_check_has_the_values_that_this_release_writes(
    connection: asyncpg.Connection, table: str, column: str
) -> None:
    """Whoever adds a value in Python adds the migration that replaces the check."""
    text: str = await connection.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1",
        name_of(table, column),
    )

    assert set(re.findall(r"'(\w+)'", text)) == SETS[table, column]


@EACH_SET
async def test_any_other_value_is_refused(
    idle_pulse: PulseTest, connection: asyncpg.Connection, table: str, column: str
) -> None:
    await emit_one(idle_pulse, connection)

    with pytest.raises(asyncpg.CheckViolationError, match=name_of(table, column)):
        await connection.execute(f"UPDATE {table} SET {column} = 'tomorrow'")  # noqa: S608 - of this module


async def test_rows_of_the_typescript_pulse_may_have_any_status(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """Its processes may still write to the tables that it shares with this engine."""
    await emit_one(idle_pulse, connection)

    await connection.execute(
        "UPDATE pulse_workflow_step_runs SET status = 'paused', path = NULL, path_numbers = NULL"
    )
    changed = await connection.execute(
        "UPDATE pulse_workflow_runs SET status = 'paused', engine = NULL"
    )

    assert changed == "UPDATE 1"
    await connection.execute("DELETE FROM pulse_workflow_runs")


async def test_an_older_process_goes_on_when_a_newer_release_replaces_a_check(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "ALTER TABLE pulse_outbox DROP CONSTRAINT pulse_outbox_kind_known,"
        " ADD CONSTRAINT pulse_outbox_kind_known CHECK"
        " (kind IN ('start', 'cancel', 'schedule', 'wake')) NOT VALID;"
        "INSERT INTO pulse_migrations (version, name, checksum) VALUES (9999, '9999_pre_x', 'x')"
    )
    idle_pulse.action("pay")
    await idle_pulse.define("order.paid", "pay")

    async with idle_pulse.engine:
        run = await idle_pulse.emit_and_wait("order.paid")
        assert await idle_pulse.engine.migrate() == []

    assert run.status == "completed"


async def test_rows_of_before_are_checked_by_the_migration(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """What is wrong is named; once it is mended, the next call goes on where this one stopped."""
    await without_checks(connection)
    await emit_one(idle_pulse, connection)
    await connection.execute("UPDATE pulse_step_attempts SET status = 'tomorrow'")

    with pytest.raises(MigrationError, match="pulse_step_attempts_status_known"):
        await idle_pulse.engine.migrate()
    await connection.execute("UPDATE pulse_step_attempts SET status = 'lost'")
    applied = await idle_pulse.engine.migrate()

    assert applied == ["0020_pre_validate_checks"]


async def test_the_migration_holds_no_table_while_it_waits_for_another(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """A transaction that is open meanwhile reaches every other table, whatever their order."""
    await without_checks(connection)
    await emit_one(idle_pulse, connection)
    watching = await asyncpg.connect(idle_pulse.dsn)
    await connection.execute("SET lock_timeout = '20s'")

    async with asyncio.TaskGroup() as tasks, connection.transaction():
        await connection.execute("DELETE FROM pulse_run_events")
        migrating = tasks.create_task(idle_pulse.engine.migrate())
        await eventually(lambda: watching.fetchval(WAITS, "pulse_run_events"))
        for table, _ in SETS:
            await connection.execute(f"LOCK {table} IN ROW EXCLUSIVE MODE")
    await watching.close()

    assert migrating.result()[-1] == "0020_pre_validate_checks"
