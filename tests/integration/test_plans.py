"""No question gets dearer as the history grows: each reads what it answers and little more.

The plans are those of Postgres itself, executed, on a history of 20 000 runs that has been
analyzed: with plans for the given parameters, and with plans made before they are known, as
Postgres keeps them for statements that are asked often. The bounds are pages of 8 KiB.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import pytest

from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.runs import RunFilter
from pulse_temporal.model.signals import TriggerInput
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import (
    attempts,
    claims,
    definitions,
    health,
    outbox,
    reconcile,
    runs,
    steps,
    timeline,
    triggers,
)
from pulse_temporal.store.fence import Fence
from pulse_temporal.store.places import NEWEST, KeysetPosition
from pulse_temporal.store.statements import statements
from pulse_temporal.store.triggers import IdempotencyKey, NewTrigger
from tests.conftest import dsn_of, run_sql
from tests.integration.explain import Ask, Planning, explain, undone
from tests.scale.load import BIG, QUEUE, History, load

DATABASE = "pulse_plans"
PAGE = 51
MOST_SORTED = 6 * PAGE
"""A list that any status may be in merges a page of each status."""

MOST_IN_VAIN = 20
MANY = 100
FAIR = 15 * MANY
"""Rows that a statement about many may sort or throw away; each with each would be more."""

FIRST_PLANS = 5
"""Postgres tries so many plans for the given parameters before it compares."""

SMALL = {"pulse_workers", "pulse_reconcilers", "pulse_migrations"}
BOUND = timedelta(minutes=5)
BACKLOG = """
INSERT INTO pulse_outbox (kind, tenant_id, run_id, definition_id, task_queue, leased_until, tries)
SELECT
    CASE WHEN n % 10 = 0 THEN 'schedule' ELSE 'start' END, tenant_id,
    CASE WHEN n % 10 > 0 THEN id END, CASE WHEN n % 10 = 0 THEN definition_id END, $1,
    CASE WHEN n / 10 % 2 = 0 THEN now() + interval '1 h' ELSE '-infinity' END, n % 3
FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM pulse_workflow_runs) AS r
"""

FAILED_LATELY = """
SELECT count(*) FROM pulse_workflow_runs
WHERE status = 'failed' AND failed_at > now() - interval '1 hour'
"""

BRANCHED = """
UPDATE pulse_workflow_definitions SET step_plan = (
    SELECT jsonb_agg(jsonb_build_object(
        'path', p, 'numbers', n, 'index', 0, 'type', 'action', 'name', p, 'handler', 'work',
        'max_attempts', 1, 'branch', b, 'parent', nullif('0', p)
    )) FROM (VALUES ('0', '{0}'::int[], NULL), ('0/b0/0', '{0,0,0}', 0), ('0/b1/0', '{0,1,0}', 1))
        AS s (p, n, b)
), trigger_type = 'branched'
WHERE tenant_id = $1 AND trigger_type = 'type_1'
"""


@dataclass(frozen=True, slots=True)
class Known:
    """Ids to ask about: of ``BIG``, and from the middle of its history."""

    definition_id: str
    run_id: str
    trigger_id: str
    resource_id: str
    key: str
    at: datetime
    open_run: str
    open_tenant: str
    lineage: str

    @property
    def place(self) -> KeysetPosition:
        """Where a page in the middle begins."""
        return KeysetPosition(self.at, self.run_id)

    @property
    def fence(self) -> Fence:
        """What speaks for the open run."""
        return Fence(
            run_id=self.open_run,
            tenant_id=self.open_tenant,
            generation=1,
            branch="",
            temporal_run_id=self.lineage,
            first_execution_run_id=self.lineage,
            parent_run_id=None,
            parent_first_run_id=None,
        )


KNOWN = """
SELECT r.definition_id, r.id AS run_id, t.id AS trigger_id, t.resource_id,
    t.idempotency_key AS key, r.created_at AS at, o.id AS open_run, o.tenant_id AS open_tenant,
    l.temporal_run_id AS lineage
FROM pulse_workflow_runs AS r
JOIN pulse_triggers AS t ON t.id = r.trigger_id AND t.idempotency_key IS NOT NULL
CROSS JOIN (
    SELECT id, tenant_id FROM pulse_workflow_runs WHERE status = 'running' LIMIT 1
) AS o
JOIN pulse_run_lineages AS l ON l.run_id = o.id
WHERE r.tenant_id = $1 AND t.type <> 'long' AND r.created_at < now() - interval '45 days'
ORDER BY r.created_at DESC LIMIT 1
"""


@pytest.fixture(scope="module")
async def filled(servers: EmbeddedServices) -> AsyncGenerator[asyncpg.Connection]:
    """Yield a connection to a database with a long history and a long outbox."""
    await run_sql(servers.dsn, f'CREATE DATABASE "{DATABASE}"')
    dsn = dsn_of(servers.dsn, DATABASE)
    await load(dsn, History(runs=20_000, definitions=2_000))
    connection = await asyncpg.connect(dsn)
    await connection.execute(BACKLOG, QUEUE)
    await connection.execute("VACUUM (ANALYZE)")
    yield connection
    await connection.close()
    await run_sql(servers.dsn, f'DROP DATABASE "{DATABASE}"')


@pytest.fixture(scope="module")
async def known(filled: asyncpg.Connection) -> Known:
    """Return ids that exist."""
    row = await filled.fetchrow(KNOWN, BIG)
    assert row is not None
    return Known(**dict(row.items()))


def listing(wanted: RunFilter, *, after: KeysetPosition = NEWEST) -> Ask:
    """Ask for a page of runs."""

    async def ask(session: Session) -> None:
        places = await runs.list_places(session, wanted, after=after, limit=PAGE)
        await runs.read_runs(session, [place.id for place in places])

    return ask


def defining(tenant_id: str | None, *, after: KeysetPosition = NEWEST) -> Ask:
    """Ask for a page of definitions."""
    return lambda session: definitions.list_page(
        session, tenant_id=tenant_id, trigger_type=None, is_enabled=None, after=after, limit=PAGE
    )


def emitting(type_: str, *, key: str | None = None) -> Ask:
    """Emit a signal."""
    signal = TriggerInput(tenant_id=BIG, source="shop", type=type_, idempotency_key=key)
    new = NewTrigger(
        id=new_id("trg"), signal=signal, payload="{}", request_hash="", task_queue=QUEUE
    )
    return lambda session: triggers.emit_signals(session, [new], lease=None)


def emitting_many(type_: str) -> Ask:
    """Emit as many signals as share a statement, each other one with a key."""
    signals = [
        TriggerInput(
            tenant_id=BIG, source="shop", type=type_, idempotency_key=f"new {n}" if n % 2 else None
        )
        for n in range(MANY)
    ]
    new = [
        NewTrigger(
            id=new_id("trg"), signal=signal, payload="{}", request_hash="", task_queue=QUEUE
        )
        for signal in signals
    ]
    return lambda session: triggers.emit_signals(session, new, lease=None)


def recording(known: Known) -> Ask:
    """Claim a step and record its result."""

    async def ask(session: Session) -> None:
        terms = claims.ClaimTerms(
            worker_id="wrk_1", timeout=BOUND, waited_after=0, opens_list=False
        )
        claimed = await claims.claim(session, known.fence, "3", terms=terms)
        assert claimed is not None
        recorded = await attempts.record_success(
            session,
            claimed.claim_ref,
            succeeded=attempts.Succeeded('{"a":1}'),
            logs=[],
            context_bytes=10_000,
            ends=False,
        )
        assert recorded == "recorded"

    return ask


def leasing(subject: outbox.Subject) -> Ask:
    """Lease commands."""
    return lambda session: outbox.lease(session, subject, task_queue=QUEUE, length=BOUND, limit=50)


LISTS: Mapping[str, Callable[[Known], Ask]] = {
    "tenant": lambda _: listing(RunFilter(tenant_id=BIG)),
    "small tenant": lambda _: listing(RunFilter(tenant_id="tenant_7")),
    "unknown tenant": lambda _: listing(RunFilter(tenant_id="nobody")),
    "deep": lambda known: listing(RunFilter(tenant_id=BIG), after=known.place),
    "tenant and status": lambda _: listing(RunFilter(tenant_id=BIG, status="failed")),
    "tenant and statuses": lambda _: listing(
        RunFilter(tenant_id=BIG, status=["pending", "canceled", "completed"])
    ),
    "tenant and status, deep": lambda known: listing(
        RunFilter(tenant_id=BIG, status="completed"), after=known.place
    ),
    "tenant and definition": lambda known: listing(
        RunFilter(tenant_id=BIG, definition_id=known.definition_id)
    ),
    "tenant, definition and status": lambda known: listing(
        RunFilter(tenant_id=BIG, definition_id=known.definition_id, status="failed")
    ),
    "another tenant's definition": lambda known: listing(
        RunFilter(tenant_id="tenant_7", definition_id=known.definition_id)
    ),
    "definition": lambda known: listing(RunFilter(definition_id=known.definition_id)),
    "trigger": lambda known: listing(RunFilter(tenant_id=BIG, trigger_id=known.trigger_id)),
    "another tenant's trigger": lambda known: listing(
        RunFilter(tenant_id="tenant_7", trigger_id=known.trigger_id)
    ),
    "tenant and resource": lambda known: listing(
        RunFilter(tenant_id=BIG, resource_id=known.resource_id)
    ),
    "resource": lambda known: listing(RunFilter(resource_id=known.resource_id)),
    "tenant and time": lambda known: listing(
        RunFilter(
            tenant_id=BIG, created_after=known.at, created_before=known.at + timedelta(days=1)
        )
    ),
    "tenant, status and time": lambda known: listing(
        RunFilter(tenant_id=BIG, status="failed", created_before=known.at)
    ),
    "time": lambda known: listing(
        RunFilter(created_after=known.at, created_before=known.at + timedelta(days=1))
    ),
    "all": lambda _: listing(RunFilter()),
    "all, deep": lambda known: listing(RunFilter(), after=known.place),
    "status": lambda _: listing(RunFilter(status="failed")),
    "status, deep": lambda known: listing(RunFilter(status="canceled"), after=known.place),
}
READS: Mapping[str, Callable[[Known], Ask]] = {
    "run": lambda known: lambda session: runs.get_run(session, known.run_id, tenant_id=BIG),
    "steps": lambda known: lambda session: steps.list_steps(session, known.run_id, tenant_id=BIG),
    "events": lambda known: lambda session: timeline.events(session, known.run_id, tenant_id=BIG),
    "logs": lambda known: lambda session: timeline.logs(session, known.run_id, tenant_id=BIG),
    "trigger": lambda known: (
        lambda session: triggers.get_trigger(session, known.trigger_id, tenant_id=BIG)
    ),
    "key": lambda known: (
        lambda session: triggers.find_by_keys(session, [IdempotencyKey(BIG, known.key)])
    ),
    "chain": lambda known: (
        lambda session: triggers.count_caused(
            session, tenant_id=BIG, root_trigger_id=known.trigger_id, limit=1_000
        )
    ),
    "statuses": lambda known: (
        lambda session: runs.statuses(session, [known.run_id, known.open_run, "run_unknown"])
    ),
    "definition": lambda known: (
        lambda session: definitions.get(session, known.definition_id, tenant_id=BIG)
    ),
    "definitions": lambda _: defining(BIG),
    "definitions, all": lambda _: defining(None),
    "definitions, all, deep": lambda known: defining(
        None, after=KeysetPosition(known.at, known.definition_id)
    ),
    "failed lately": lambda _: lambda session: session.connection.fetch(FAILED_LATELY),
    "restarts": lambda known: (
        lambda session: reconcile.restarts(session, known.run_id, tenant_id=BIG)
    ),
    "standing": lambda known: (
        lambda session: reconcile.standing(session, [known.run_id, known.open_run], age=BOUND)
    ),
}
WORK: Mapping[str, Callable[[Known], Ask]] = {
    "emit, no match": lambda _: emitting("unheard"),
    "emit, one match": lambda _: emitting("type_0"),
    "emit, key taken": lambda known: emitting("type_0", key=known.key),
    "claim and record": recording,
    "lease": lambda _: leasing("runs"),
    "lease of schedules": lambda _: leasing("schedules"),
    "reconciler's page": lambda known: (
        lambda session: reconcile.open_runs(
            session, task_queue=QUEUE, after=known.run_id, age=BOUND, limit=50
        )
    ),
    "health of the outbox": lambda _: (
        lambda session: health.outbox(session, task_queue=QUEUE, limit=50)
    ),
    "health of pending runs": lambda _: (
        lambda session: health.pending_runs(session, task_queue=QUEUE, age=BOUND, limit=50)
    ),
    "health of blocked steps": lambda _: (
        lambda session: health.blocked_steps(session, task_queue=QUEUE, limit=50)
    ),
}
GROUPS = {"list": (LISTS, 300), "read": (READS, 80), "work": (WORK, 1_750)}
QUESTIONS = {
    f"{group}: {name}": (ask, pages)
    for group, (asks, pages) in GROUPS.items()
    for name, ask in asks.items()
}


@pytest.mark.parametrize("planning", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("name", QUESTIONS)
async def test_a_question_reads_what_it_answers_and_little_more(
    filled: asyncpg.Connection, known: Known, name: str, planning: Planning
) -> None:
    ask, pages = QUESTIONS[name]

    plans = await explain(filled, ask(known), planning=planning)

    assert plans
    for plan in plans:
        nodes = list(plan.root.walk())
        scanned = {node.relation for node in nodes if node.kind == "Seq Scan"}
        assert scanned <= SMALL, "a table is read as a whole"
        assert sum(node.in_vain for node in nodes) <= MOST_IN_VAIN, "rows are read in vain"
        assert max(node.sorted_rows for node in nodes) <= MOST_SORTED, "too much is sorted"
        assert plan.pages <= pages, "too many pages are read"


@pytest.mark.parametrize("planning", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("type_", ["unheard", "type_0", "branched"])
async def test_signals_that_share_a_statement_cost_no_more_than_so_many_alone(
    filled: asyncpg.Connection, type_: str, planning: Planning
) -> None:
    """Nothing in it is done for each signal with each other one, or each step."""
    async with undone(filled):
        await filled.execute(BRANCHED, BIG)
        plans = await explain(filled, emitting_many(type_), planning=planning)

    (plan,) = plans
    nodes = list(plan.root.walk())
    scanned = {node.relation for node in nodes if node.kind == "Seq Scan"}
    assert scanned <= {*SMALL, "pulse_workflow_definitions"}, "that is read at most once"
    assert max(node.loops for node in nodes) <= FAIR, "a node runs too often"
    assert max(node.loops * node.rows for node in nodes if node.relation is None) <= FAIR
    assert sum(node.in_vain for node in nodes) <= FAIR, "rows are read in vain"
    assert max(node.sorted_rows for node in nodes) <= FAIR, "too much is sorted"
    assert plan.pages <= MANY * GROUPS["work"][1] / 10, "too many pages are read"


async def test_rows_that_go_with_others_are_found_by_an_index(filled: asyncpg.Connection) -> None:
    """Else each run that is deleted costs a look at every row."""
    unindexed = await filled.fetch(
        """
        SELECT f.conrelid::regclass::text AS found_in, f.conname FROM pg_constraint AS f
        WHERE f.contype = 'f' AND f.confdeltype = 'c' AND NOT EXISTS (
            SELECT 1 FROM pg_index AS i
            WHERE i.indrelid = f.conrelid AND i.indkey[0] = f.conkey[1]
        )
        """
    )

    assert unindexed == []


async def test_an_emit_is_not_planned_anew_each_time(filled: asyncpg.Connection) -> None:
    """Postgres keeps a plan once it finds that those for the given parameters are no cheaper."""
    known = statements(prefix="pulse_", schema="public")
    async with undone(filled):
        for _ in range(12):
            await emitting("type_0")(Session(filled, known, 10.0))
        custom = await filled.fetchval(
            "SELECT custom_plans FROM pg_prepared_statements WHERE statement = $1",
            known["triggers.emit_signal"].text,
        )

    assert custom <= FIRST_PLANS
