"""A page of runs, or of definitions, is bounded in bytes, not only in rows."""

from __future__ import annotations

import json
import random
import string
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from pulse_temporal import RunFilter, WorkflowRun
from pulse_temporal.store.places import PAGE_BYTES
from tests.harness import TENANT, PulseTest

KIB = 1_024
COPY = """
INSERT INTO pulse_workflow_runs (
    id, definition_id, tenant_id, trigger_id, definition_snapshot, context, engine, status,
    failed_at, error_message, created_at
)
SELECT
    'run_' || lpad(n::text, 5, '0'), definition_id, tenant_id, trigger_id, definition_snapshot,
    $1::text::jsonb, engine, 'failed', now(), 'x', created_at + n * interval '1 s'
FROM pulse_workflow_runs, generate_series(1, $2::int) AS n
WHERE id = $3
"""


@pytest.fixture(autouse=True)
async def only_made_up(connection: asyncpg.Connection) -> AsyncGenerator[None]:
    """Remove the copies, which have no control row and no steps."""
    yield
    await connection.execute("DELETE FROM pulse_workflow_runs WHERE length(id) < 20")


def random_text(length: int) -> str:
    """Make a text that Postgres cannot compress much."""
    letters = random.Random(length)  # noqa: S311 - chance for tests, not for secrets
    return "".join(letters.choices(string.ascii_letters, k=length))


CONTEXTS = {
    "random": {"rows": [random_text(KIB) for _ in range(400)]},
    "of one letter": {"rows": ["x" * KIB] * 400},
}


async def heavy_runs(
    pulse: PulseTest, connection: asyncpg.Connection, context: object, *, count: int
) -> tuple[str, list[str]]:
    """Make failed runs of one signal; give its id, and theirs, newest first."""
    await pulse.define("order.paid")
    trigger = await pulse.emit("order.paid")
    await connection.execute(COPY, json.dumps(context), count, trigger.run_ids[0])
    return trigger.id, [f"run_{n:05}" for n in range(count, 0, -1)]


def weight(found: list[WorkflowRun]) -> int:
    """Return what contexts weigh as JSON."""
    return sum(len(json.dumps(run.context)) for run in found)


@pytest.mark.parametrize("kind", CONTEXTS)
async def test_a_page_ends_when_it_is_heavy_and_none_is_left_out(
    idle_pulse: PulseTest, connection: asyncpg.Connection, kind: str
) -> None:
    _, ids = await heavy_runs(idle_pulse, connection, CONTEXTS[kind], count=60)
    wanted = RunFilter(tenant_id=TENANT, status="failed")
    seen: list[str] = []
    cursor = None
    while True:
        page = await idle_pulse.engine.list_runs(wanted, limit=50, cursor=cursor)
        assert page.items
        assert len(page.items) < 50
        assert weight(list(page.items)) <= PAGE_BYTES
        seen += [run.id for run in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ids


async def test_failed_runs_are_a_page(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    _, ids = await heavy_runs(idle_pulse, connection, CONTEXTS["random"], count=60)

    page = await idle_pulse.engine.get_failed_runs(tenant_id=TENANT, limit=60)
    found = list(page.items)

    assert [run.id for run in found] == ids[: len(found)]
    assert 1 <= len(found) < 60
    assert weight(found) <= PAGE_BYTES


async def test_one_run_that_is_heavier_than_a_page_is_a_page(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    context = {"rows": [random_text(KIB) for _ in range(9 * KIB)]}
    _, ids = await heavy_runs(idle_pulse, connection, context, count=2)
    page = await idle_pulse.engine.list_runs(RunFilter(status="failed"))
    assert [run.id for run in page.items] == ids[:1]
    page = await idle_pulse.engine.list_runs(RunFilter(status="failed"), cursor=page.next_cursor)
    assert [run.id for run in page.items] == ids[1:]
    assert page.next_cursor is None


async def test_light_runs_fill_a_page(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    _, ids = await heavy_runs(idle_pulse, connection, {"a": {"n": 1}}, count=500)

    found = (await idle_pulse.engine.get_failed_runs(tenant_id=TENANT, limit=500)).items

    assert [run.id for run in found] == ids


async def test_the_runs_of_a_signal_come_page_by_page(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    trigger_id, ids = await heavy_runs(idle_pulse, connection, CONTEXTS["random"], count=60)
    page = await idle_pulse.engine.get_runs_by_trigger(trigger_id, limit=500)
    assert 1 <= len(page.items) < 60
    seen = [run.id for run in page.items]
    while page.next_cursor is not None:
        page = await idle_pulse.engine.get_runs_by_trigger(trigger_id, cursor=page.next_cursor)
        seen += [run.id for run in page.items]
    assert seen[:-1] == ids


async def test_a_page_of_heavy_definitions_ends_early_and_none_is_left_out(
    idle_pulse: PulseTest,
) -> None:
    config = {"rows": [random_text(KIB) for _ in range(200)]}
    stored = [
        (await idle_pulse.define("order.paid", name=f"n{number}", config=config)).id
        for number in range(60)
    ]
    for tenant_id in (TENANT, None):
        seen: list[str] = []
        cursor = None
        while True:
            page = await idle_pulse.engine.list_workflows(
                tenant_id=tenant_id, limit=60, cursor=cursor
            )
            assert 1 <= len(page.items) < 60
            assert sum(len(json.dumps(each.config)) for each in page.items) <= PAGE_BYTES
            seen += [each.id for each in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == stored[::-1]
