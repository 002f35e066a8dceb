"""Rows of a newer release: they are shown, left to it, and harm nobody else."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from pulse_temporal import NotUnderstoodError, RunFilter, RunTransitionError
from pulse_temporal.config import EngineOptions
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.model.runs import WorkflowRun
from pulse_temporal.services.runs.mirror import Mirror
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.services.runs.waiting import RunWaiter
from pulse_temporal.store import claims
from pulse_temporal.store.claims import ClaimTerms
from pulse_temporal.store.database import Database
from pulse_temporal.store.fence import Fence
from pulse_temporal.temporal.client import connect
from pulse_temporal.testing import delay, parallel
from tests.harness import PATIENCE, PulseTest, eventually
from tests.integration.clocks import Clocks

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
    """Return the steps of a definition that this release does not understand."""
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
        if each.tenant_id:
            summaries = await engine.list_run_summaries(tenant_id=each.tenant_id)
            assert [run.status for run in summaries] == ["completed", "paused"]
    view = await engine.get_run_view(first)
    assert view is not None
    assert (view.run.status, view.steps[0].status) == ("paused", "paused")
    assert view.steps[0].segments[-1].kind == "paused"
    assert view.run.current_step is not None
    assert (await engine.get_step(first, "0")).attempts[0].status == "paused"
    assert (await engine.count_runs(tenant_id=definition.tenant_id)).completed.count == 1
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


NEEDS_TOMORROW = {
    "dialect": "UPDATE pulse_workflow_runs SET dialect = dialect + $1",
    "snapshot": "UPDATE pulse_workflow_runs SET definition_snapshot = jsonb_set("
    """definition_snapshot, '{steps,9}', '{"type": "approval", "name": "boss"}') WHERE $1 > 0""",
}
AS_BEFORE = "UPDATE pulse_workflow_runs SET definition_snapshot = $1::text::jsonb, dialect = 1"
FIRST = {
    "action": "pay",
    "delay": delay("pause", 20),
    "parallel": parallel("both", ["one"], ["two"]),
}


def speaking(run: WorkflowRun) -> Fence:
    """Return what speaks first for a run."""
    return Fence(
        run_id=run.id,
        tenant_id=run.tenant_id,
        generation=1,
        branch="",
        temporal_run_id="execution",
        first_execution_run_id="execution",
        parent_run_id=None,
        parent_first_run_id=None,
    )


async def begin(database: str, run: WorkflowRun, first: str, options: EngineOptions) -> object:
    """Begin a run as a worker does, by its first step."""
    store = Database(database, prefix="pulse_", timeout=PATIENCE)
    observers = Observers(store, RunWaiter(store), on_step=None, on_run=None)
    mirror = Mirror(store, Registry(), observers, options)
    fence = speaking(run)
    terms = ClaimTerms("wrk_1", PATIENCE, opens_list=True)
    try:
        if first == "delay":
            return await mirror.begin(fence)
        if first == "parallel":
            return await mirror.start_parallel(fence, "0", opens_list=True)
        async with store.session() as session:
            return await claims.claim(session, fence, "0", terms=terms)
    finally:
        await store.close()


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("how", NEEDS_TOMORROW)
async def test_a_run_that_needs_a_newer_release_has_not_begun(
    idle_pulse: PulseTest, database: str, connection: asyncpg.Connection, how: str, first: str
) -> None:
    for name in ("pay", "one", "two"):
        idle_pulse.action(name)
    await idle_pulse.define("order.paid", FIRST[first])
    (run_id,) = (await idle_pulse.emit("order.paid")).run_ids
    planned = await idle_pulse.engine.get_run(run_id)
    assert planned is not None
    snapshot = await connection.fetchval("SELECT definition_snapshot FROM pulse_workflow_runs")
    await connection.execute(NEEDS_TOMORROW[how], 1)

    with pytest.raises(NotUnderstoodError, match="newer Pulse"):
        await begin(database, planned, first, idle_pulse.engine.options)

    await connection.execute(AS_BEFORE, snapshot)
    assert await connection.fetchval("SELECT count(*) FROM pulse_run_lineages") == 0
    assert await connection.fetchval("SELECT count(*) FROM pulse_step_attempts") == 0
    run = await idle_pulse.engine.get_run(run_id)
    assert run is not None
    assert (run.status, run.started_at) == ("pending", None)
    assert await idle_pulse.timeline(run_id) == ["run_created"]
    await idle_pulse.engine.start()
    assert (await idle_pulse.engine.wait_for_run(run_id, 60)).status == "completed"


async def test_a_tick_of_a_newer_dialect_waits(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """Its cron may mean what this release does not know."""
    definition = await pulse.define("clean.up", cronExpression="0 12 * * *")
    clocks = Clocks(pulse, await connect(pulse.temporal_address, namespace="default"), connection)
    await clocks.exists(definition.id)
    await connection.execute("UPDATE pulse_workflow_definitions SET dialect = dialect + 1")

    tick = await clocks.start_tick(clocks.handle(definition.id))

    async def is_refused() -> bool:
        history = await tick.fetch_history()
        return "needs a newer Pulse" in str(history.events)

    await eventually(is_refused)
    assert await connection.fetchval("SELECT count(*) FROM pulse_triggers") == 0
    await connection.execute("UPDATE pulse_workflow_definitions SET dialect = 1")
    (run_id,) = (await tick.result()).run_ids
    assert (await pulse.engine.wait_for_run(run_id)).status == "completed"


@pytest.mark.parametrize("how", NEEDS_TOMORROW)
async def test_a_claimed_step_is_left_to_others(
    pulse: PulseTest, connection: asyncpg.Connection, how: str
) -> None:
    """The run was planned by a newer release: no attempt, no lost worker, and a reason to see."""
    gate, after = pulse.gate("gate"), pulse.action("after")
    await pulse.define("order.paid", "gate", "after")
    (run_id,) = (await pulse.emit("order.paid")).run_ids
    await gate.reached()
    snapshot = await connection.fetchval("SELECT definition_snapshot FROM pulse_workflow_runs")
    await connection.execute(NEEDS_TOMORROW[how], 1)
    gate.open()

    async def blocked() -> str | None:
        step = (await pulse.steps(run_id))["1"]
        return step.blocked_reason

    assert "newer Pulse" in await eventually(blocked)
    step = (await pulse.steps(run_id))["1"]
    attempts = await connection.fetchval(
        "SELECT count(*) FROM pulse_step_attempts WHERE step_run_id = $1", step.id
    )
    assert (step.status, step.attempt, attempts, after.call_count) == ("pending", 0, 0, 0)
    assert "step_started after" not in await pulse.timeline(run_id)

    await connection.execute(AS_BEFORE, snapshot)
    run = await pulse.engine.wait_for_run(run_id, 60)
    assert (run.status, after.call_count) == ("completed", 1)
