"""What is asked of bulk operations reads little, however long the history is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

import asyncpg
import pytest

from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import bulk
from pulse_temporal.store.bulk import NextItem, Result
from pulse_temporal.store.places import NEWEST, KeysetPosition
from tests.conftest import copy_template, dsn_of, run_sql
from tests.integration.explain import Ask, Planning, explain

DATABASE = "pulse_plans_of_bulk"
TENANT = "tenant_1"
QUEUE = "pulse"
OPEN = "blk_open_1"
PAGE = 51
OLD = 20_000
ITEMS = 100_000

FILL = f"""
INSERT INTO pulse_bulk_operations (
    id, tenant_id, kind, status, rate, task_queue, actor_id, actor_name, actor_kind, created_at,
    ended_at
)
SELECT
    'blk_' || number, 'tenant_' || number % 50, 'retry', 'completed', 20, '{QUEUE}', 'library',
    'library', 'library', now() - number * interval '1 minute', now()
FROM generate_series(1, {OLD}) AS number;
INSERT INTO pulse_bulk_operations (
    id, tenant_id, kind, status, rate, task_queue, actor_id, actor_name, actor_kind, items, place
)
SELECT
    'blk_open_' || number, 'tenant_' || number, 'retry', 'running', 20, '{QUEUE}', 'library',
    'library', 'library', {ITEMS}, 'run_0050000'
FROM generate_series(1, 20) AS number;
INSERT INTO pulse_bulk_items (operation_id, run_id, tenant_id, outcome)
SELECT
    '{OPEN}', 'run_' || lpad(number::text, 7, '0'), '{TENANT}',
    CASE
        WHEN number > {ITEMS // 2} THEN 'pending'
        WHEN number % 1000 = 0 THEN 'failed'
        ELSE 'done'
    END
FROM generate_series(1, {ITEMS}) AS number
"""  # noqa: S608 - of constants


@pytest.fixture(scope="module")
async def filled(servers: EmbeddedServices, template: str) -> AsyncGenerator[asyncpg.Connection]:
    """Give a connection to a database with many operations, and a large one at work."""
    await copy_template(servers.dsn, template, name=DATABASE)
    connection = await asyncpg.connect(dsn_of(servers.dsn, DATABASE))
    await connection.execute(FILL)
    await connection.execute("VACUUM (ANALYZE)")
    yield connection
    await connection.close()
    await run_sql(servers.dsn, f'DROP DATABASE "{DATABASE}"')


async def turn(session: Session) -> object:
    """Have one turn, but for what is done to the run."""
    taken = await bulk.take_turn(session, OPEN, tenant_id=TENANT)
    assert taken is not None
    item = await bulk.next_item(session, taken)
    assert item is not None
    assert item == NextItem("run_0050001", None)
    return await bulk.end_item(session, taken, item, Result("done", generation=2))


async def items(session: Session, outcome: str | None, after: str = "") -> object:
    """Read a page of items."""
    operation = await bulk.get(session, OPEN, tenant_id=TENANT)
    assert operation is not None
    place = KeysetPosition(operation.created_at, after)
    found = await bulk.list_items(session, operation, outcome=outcome, after=place, limit=PAGE)
    assert found
    return found


QUESTIONS: Mapping[str, Ask] = {
    "who is due": lambda session: bulk.due(session, task_queue=QUEUE, limit=50),
    "when somebody is": lambda session: bulk.next_due(session, task_queue=QUEUE),
    "a turn": turn,
    "operations": lambda session: bulk.list_page(
        session, tenant_id=TENANT, after=NEWEST, limit=PAGE
    ),
    "operations of all": lambda session: bulk.list_page(
        session, tenant_id=None, after=NEWEST, limit=PAGE
    ),
    "items": lambda session: items(session, None, "run_0090000"),
    "failed items": lambda session: items(session, "failed"),
    "pending items": lambda session: items(session, "pending", "run_0090000"),
}


@pytest.mark.parametrize("planning", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("name", QUESTIONS)
async def test_it_reads_by_an_index_and_no_more_than_it_gives(
    filled: asyncpg.Connection, name: str, planning: Planning
) -> None:
    plans = await explain(filled, QUESTIONS[name], planning=planning)

    assert plans
    for plan in plans:
        scanned = {node.relation for node in plan.root.walk() if node.kind == "Seq Scan"}
        assert scanned <= {"pulse_workflow_runs"}, "a table that has rows is read as a whole"
        assert plan.pages <= 2 * PAGE
