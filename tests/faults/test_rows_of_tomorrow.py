"""Rows of a newer release: they are shown, left to it, and harm nobody else."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from pulse_temporal import NotUnderstoodError, RunFilter, RunTransitionError
from tests.harness import PulseTest, eventually

pytestmark = pytest.mark.faults

TOMORROW = {
    "kind": '[{"type": "approval", "name": "boss"}]',
    "field": '[{"type": "action", "name": "pay", "runIf": "payload.total > 10"}]',
}

SET_STATUS = (
    "UPDATE pulse_workflow_runs SET status = $1 WHERE id = $2",
    "UPDATE pulse_workflow_step_runs SET status = $1 WHERE run_id = $2",
    "UPDATE pulse_step_attempts SET status = $1 WHERE run_id = $2",
)

CHECKED = (
    "pulse_run_events_kind",
    "pulse_step_attempts_status",
    "pulse_workflow_runs_status",
    "pulse_workflow_step_runs_status",
)


@pytest.fixture(autouse=True)
async def replaced_checks(connection: asyncpg.Connection) -> None:
    """Let in what the newer release's own checks let in."""
    for each in CHECKED:
        table = each.rpartition("_")[0]
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {each}_known")


@pytest.fixture(params=TOMORROW)
def steps(request: pytest.FixtureRequest) -> str:
    """Give the steps of a definition that this release does not understand."""
    return TOMORROW[request.param]


async def store_steps(connection: asyncpg.Connection, definition_id: str, steps: str) -> None:
    await connection.execute(
        "UPDATE pulse_workflow_definitions SET steps = $2::text::jsonb WHERE id = $1",
        definition_id,
        steps,
    )


async def test_emits_of_everybody_succeed(
    idle_pulse: PulseTest, connection: asyncpg.Connection, steps: str
) -> None:
    """Signals that share the statement are stored, and their emitters are told so."""
    idle_pulse.action("pay")
    newer = await idle_pulse.define("order.paid", "pay", tenant_id="newer")
    await idle_pulse.define("order.paid", "pay", tenant_id="older")
    await store_steps(connection, newer.id, steps)

    tenants = ["older"] * 4 + ["newer"] + ["older"] * 3
    triggers = await asyncio.gather(
        *(idle_pulse.emit("order.paid", tenant_id=tenant) for tenant in tenants)
    )

    assert [len(trigger.run_ids) for trigger in triggers] == [1] * len(tenants)


async def test_readers_show_it(
    idle_pulse: PulseTest, connection: asyncpg.Connection, steps: str
) -> None:
    idle_pulse.action("pay")
    newer = await idle_pulse.define("order.paid", "pay")
    await store_steps(connection, newer.id, steps)
    await connection.execute("UPDATE pulse_workflow_definitions SET step_plan = $1", "[]")
    (run_id,) = (await idle_pulse.emit("order.paid")).run_ids

    run = await idle_pulse.engine.get_run(run_id)
    shown = await idle_pulse.engine.get_workflow(newer.id)

    assert run is not None
    assert shown is not None
    for found in (run.definition_snapshot, shown):
        assert found.not_understood is not None
        assert "newer Pulse" in found.not_understood
        assert found.raw is not None
    assert [each.id for each in (await idle_pulse.engine.list_runs()).items] == [run_id]
    assert [each.id for each in (await idle_pulse.engine.list_workflows()).items] == [newer.id]
    assert (await idle_pulse.engine.get_run_timeline(run_id))[0].type == "run_created"


async def test_a_step_and_an_event_of_a_newer_kind_are_shown(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    idle_pulse.action("pay")
    await idle_pulse.define("order.paid", "pay")
    (run_id,) = (await idle_pulse.emit("order.paid")).run_ids
    await connection.execute("UPDATE pulse_workflow_step_runs SET step_type = 'approval'")
    await connection.execute(
        "INSERT INTO pulse_run_events (run_id, tenant_id, generation, kind, path, at)"
        " SELECT run_id, tenant_id, 1, 'step_approved', path, now() FROM pulse_workflow_step_runs"
    )

    (step,) = await idle_pulse.engine.get_run_steps(run_id)
    timeline = await idle_pulse.engine.get_run_timeline(run_id)

    assert step.step_type == "approval"
    assert [(entry.type, entry.step_type) for entry in timeline[1:]] == [
        ("step_approved", "approval")
    ]


async def test_unknown_statuses_and_levels_are_shown_as_they_are(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """One row of a newer release never takes the rest of a list away."""
    pulse.action("pay")
    definition = await pulse.define("order.paid", "pay")
    first, second = [
        (await pulse.emit("order.paid", resource_id="o1")).run_ids[0] for _ in range(2)
    ]
    for run_id in (first, second):
        await pulse.engine.wait_for_run(run_id, 60)
    await connection.execute(
        "INSERT INTO pulse_execution_logs (id, run_id, tenant_id, level, message, created_at)"
        " SELECT 'log_' || id, id, tenant_id, 'audit', 'seen', now() FROM pulse_workflow_runs"
    )
    for statement in SET_STATUS:
        await connection.execute(statement, "paused", first)

    engine = pulse.engine
    wanted = [
        RunFilter(),
        RunFilter(tenant_id=definition.tenant_id),
        RunFilter(definition_id=definition.id),
        RunFilter(resource_id="o1"),
    ]
    for each in wanted:
        found = (await engine.list_runs(each)).items
        assert [(run.id, run.status) for run in found] == [
            (second, "completed"),
            (first, "paused"),
        ], each
    run = await engine.get_run(first)
    assert run is not None
    assert run.status == "paused"
    assert [step.status for step in await engine.get_run_steps(first)] == ["paused"]
    assert [each.status for each in await engine.get_step_attempts(first)] == ["paused"]
    assert [line.level for line in await engine.get_run_logs(first)] == ["audit"]
    assert (await engine.get_run_timeline(first))[-1].detail["level"] == "audit"
    for change in (engine.cancel_run, engine.retry_run):
        with pytest.raises(RunTransitionError, match="'paused'"):
            await change(first)

    for statement in SET_STATUS:
        await connection.execute(statement, "completed", first)


async def test_an_older_release_does_not_change_it(
    idle_pulse: PulseTest, connection: asyncpg.Connection, steps: str
) -> None:
    idle_pulse.action("pay")
    newer = await idle_pulse.define("order.paid", "pay")
    await store_steps(connection, newer.id, steps)

    with pytest.raises(NotUnderstoodError, match=newer.id):
        await idle_pulse.engine.update_workflow(newer.id, {"name": "Another"})
    await idle_pulse.engine.disable_workflow(newer.id)

    assert (await idle_pulse.emit("order.paid")).run_ids == ()


async def test_a_claimed_step_is_left_to_others(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """The run was planned by a newer release: no attempt, no lost worker, and a reason to see."""
    gate, after = pulse.gate("gate"), pulse.action("after")
    await pulse.define("order.paid", "gate", "after")
    (run_id,) = (await pulse.emit("order.paid")).run_ids
    await gate.reached()
    snapshot = await connection.fetchval("SELECT definition_snapshot FROM pulse_workflow_runs")
    await connection.execute(
        "UPDATE pulse_workflow_runs SET definition_snapshot = jsonb_set("
        """definition_snapshot, '{steps,2}', '{"type": "approval", "name": "boss"}')"""
    )
    gate.open()

    async def blocked() -> str | None:
        step = (await pulse.steps(run_id))["1"]
        return step.blocked_reason

    assert "newer Pulse" in await eventually(blocked)
    step = (await pulse.steps(run_id))["1"]
    attempts = await connection.fetchval(
        "SELECT count(*) FROM pulse_step_attempts WHERE step_run_id = $1", step.id
    )
    assert (step.status, step.attempt, attempts, after.calls) == ("pending", 0, 0, 0)
    assert "step_started after" not in await pulse.timeline(run_id)

    await connection.execute(
        "UPDATE pulse_workflow_runs SET definition_snapshot = $1::text::jsonb", snapshot
    )
    run = await pulse.engine.wait_for_run(run_id, 60)
    assert (run.status, after.calls) == ("completed", 1)
