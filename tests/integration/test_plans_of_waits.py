"""To say whether a run waits costs each of its steps one look, and no result twice."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass

import asyncpg
import pytest

from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import runs
from pulse_temporal.store.fence import Fence
from pulse_temporal.store.statements import statements
from tests.harness import TENANT, PulseTest
from tests.integration.explain import Ask, Planning, explain, undone

MANY = 2_000
LISTS = 500
FAIR = 12 * (MANY + LISTS)
"""Rows that may pass through the plan; steps compared with steps would be a hundred times more."""

RESULTS = 200
PAGES_OF_RESULTS = RESULTS
"""Each result fills two pages: whoever reads them all looks at more."""

BLOCK = 2
COLUMNS = (
    *("id", "run_id", "tenant_id", "step_type", "step_name", "status", "result"),
    *("step_index", "branch_index", "parent_step_run_id", "path", "path_numbers"),
)
SEEN = """
UPDATE pulse_workflow_runs SET status = 'running', context_results = $2, context = (
    SELECT coalesce(jsonb_object_agg(step_name, result), '{}') FROM pulse_workflow_step_runs
    WHERE run_id = $1 AND result IS NOT NULL
)
WHERE id = $1
"""

RUNNING = "UPDATE pulse_workflow_runs SET status = 'running' WHERE id = $1"
SHOWN = """
SELECT status || ' ' || (SELECT count(*) FROM jsonb_object_keys(context))
FROM pulse_workflow_runs WHERE id = $1
"""


def refreshing(run_id: str) -> Ask:
    """Ask whether the run waits."""
    fence = Fence(
        run_id=run_id,
        tenant_id=TENANT,
        generation=1,
        branch="",
        temporal_run_id="",
        first_execution_run_id="",
        parent_run_id=None,
        parent_first_run_id=None,
    )
    return lambda session: runs.refresh_waiting(session, fence)


@dataclass(frozen=True, slots=True)
class Steps:
    """Puts steps into a run that stands at a running block, many at once."""

    connection: asyncpg.Connection
    run_id: str

    async def put(
        self, type_: str, status: str, paths: Iterable[tuple[int, ...]], *, result: object = None
    ) -> None:
        """Put steps of one kind; a path of three numbers lies in a branch of the block."""
        text = None if result is None else json.dumps(result)
        await self.connection.copy_records_to_table(
            "pulse_workflow_step_runs",
            columns=COLUMNS,
            records=[
                (*(name(path), self.run_id, TENANT, type_, name(path), status, text), *place(path))
                for path in paths
            ],
        )


def name(path: tuple[int, ...]) -> str:
    """Name a step; also its id."""
    return f"step_{'_'.join(map(str, path))}"


def place(path: tuple[int, ...]) -> tuple[object, ...]:
    """Return what the columns from step_index on say."""
    if len(path) == 1:
        return path[0], None, None, str(path[0]), path
    block, branch, index = path
    return index, branch, name((block,)), f"{block}/b{branch}/{index}", path


async def a_run(pulse: PulseTest, connection: asyncpg.Connection) -> Steps:
    """Return a run whose first step has ended; its second, a block, runs."""
    await pulse.define("order.paid")
    trigger = await pulse.emit("order.paid")
    run_id = trigger.run_ids[0]
    await connection.execute(
        "UPDATE pulse_workflow_step_runs SET status = 'completed' WHERE run_id = $1", run_id
    )
    steps = Steps(connection, run_id)
    await steps.put("parallel", "running", [(BLOCK,)])
    return steps


@pytest.mark.parametrize("planning", ["force_generic_plan", "force_custom_plan"])
async def test_each_step_is_looked_at_a_few_times_however_many_there_are(
    idle_pulse: PulseTest, connection: asyncpg.Connection, planning: Planning
) -> None:
    async with undone(connection):
        steps = await a_run(idle_pulse, connection)
        await steps.put("delay", "pending", [(BLOCK + 1 + n,) for n in range(MANY)])
        await steps.put("delay", "scheduled", [(BLOCK, branch, 0) for branch in range(LISTS)])
        await steps.put("delay", "pending", [(BLOCK, branch, 1) for branch in range(LISTS)])
        await connection.execute(SEEN, steps.run_id, 0)

        (plan,) = await explain(connection, refreshing(steps.run_id), planning=planning)

        nodes = list(plan.root.walk())
        assert sum(node.in_vain for node in nodes) <= FAIR
        assert max(node.loops * node.rows for node in nodes) <= FAIR
        assert max(node.loops for node in nodes) <= FAIR


async def test_a_wait_after_which_nothing_was_recorded_reads_no_result(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    chance = random.Random(1)  # noqa: S311 - chance for tests, not for secrets
    heavy = {"text": chance.randbytes(8_192).hex()}
    async with undone(connection):
        steps = await a_run(idle_pulse, connection)
        await steps.put("delay", "scheduled", [(BLOCK, 0, 0)])
        done = [(BLOCK + 1 + n,) for n in range(RESULTS)]
        await steps.put("action", "completed", done, result=heavy)

        await connection.execute(SEEN, steps.run_id, RESULTS)
        (same,) = await explain(connection, refreshing(steps.run_id), planning="force_custom_plan")
        await connection.execute(SEEN, steps.run_id, RESULTS - 1)
        (more,) = await explain(connection, refreshing(steps.run_id), planning="force_custom_plan")

        assert same.pages <= PAGES_OF_RESULTS
        assert more.pages > PAGES_OF_RESULTS


async def test_a_step_recorded_between_two_waits_is_shown_in_the_second(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    session = Session(connection, statements(prefix="pulse_", schema="public"), 10.0)
    async with undone(connection):
        steps = await a_run(idle_pulse, connection)
        await steps.put("delay", "scheduled", [(BLOCK, 0, 0)])
        seen: list[str] = []
        for recorded in ([], [(7,), (8,)], [], [(9,)]):
            await steps.put("action", "completed", recorded, result={"a": 1})
            await connection.execute(RUNNING, steps.run_id)
            await refreshing(steps.run_id)(session)
            seen.append(str(await connection.fetchval(SHOWN, steps.run_id)))

        assert seen == ["waiting 0", "waiting 2", "waiting 2", "waiting 3"]
