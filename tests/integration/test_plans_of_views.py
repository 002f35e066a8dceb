"""What lists and pages show is read by indexes, and no more of it than is shown."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal.clock import utc_now
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.model.view_filters import RunSummaryFilter, SignalFilter
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import (
    definition_views,
    definitions,
    operator_views,
    run_lists,
    run_views,
    searches,
    signal_views,
)
from pulse_temporal.store.places import NEWEST, KeysetPosition
from tests.conftest import dsn_of, run_sql
from tests.integration.explain import Ask, Planning, explain
from tests.integration.test_plans import KNOWN, SMALL, Known
from tests.scale.load import BIG, History, load

DATABASE = "pulse_plans_of_views"
PAGE = 51
MINUTE = timedelta(minutes=1)

HELD = """
UPDATE pulse_workflow_step_runs AS s
SET retrying_since = now(), next_attempt_at = now() + interval '1 min', status = 'scheduled'
FROM pulse_workflow_runs AS r
WHERE r.id = s.run_id AND r.status = 'running' AND s.status = 'running'
"""
"""Runs that are at work are tried again."""

VERSIONS = """
INSERT INTO pulse_definition_versions (definition_id, version, tenant_id, kind, valid_from)
SELECT id, number, tenant_id, 'content', created_at
FROM pulse_workflow_definitions CROSS JOIN generate_series(1, 3) AS number
ON CONFLICT DO NOTHING
"""


@pytest.fixture(scope="module")
async def filled(servers: EmbeddedServices) -> AsyncGenerator[asyncpg.Connection]:
    """Yield a connection to a database with a long history."""
    await run_sql(servers.dsn, f'CREATE DATABASE "{DATABASE}"')
    dsn = dsn_of(servers.dsn, DATABASE)
    await load(dsn, History(runs=20_000, definitions=2_000))
    connection = await asyncpg.connect(dsn)
    await connection.execute(HELD)
    await connection.execute(VERSIONS)
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


def listing(after: KeysetPosition = NEWEST, **wanted: object) -> Ask:
    """Ask for a page of runs."""
    chosen = RunSummaryFilter.model_validate(wanted)

    async def ask(session: Session) -> None:
        places = await run_lists.list_places(session, chosen, after=after, limit=PAGE)
        ids = [place.id for place in places.found]
        await run_views.summaries(session, ids, tenant_id=chosen.tenant_id)

    return ask


def counting(**wanted: object) -> Ask:
    """Ask how many runs there are."""
    return lambda session: run_lists.count(session, RunSummaryFilter.model_validate(wanted))


def failing(**wanted: str | None) -> Ask:
    """Ask for the groups of failed runs."""
    chosen = {"tenant_id": None, "definition_id": None, **wanted}
    return lambda session: run_lists.failures(session, since=None, **chosen)


def signals(after: KeysetPosition = NEWEST, **wanted: object) -> Ask:
    """Ask for a page of signals."""
    chosen = SignalFilter.model_validate({"tenant_id": BIG, **wanted})
    return lambda session: signal_views.list_signals(session, chosen, after=after, limit=PAGE)


def page_of_run(known: Known) -> Ask:
    """Ask for what the page of a run shows."""

    async def ask(session: Session) -> None:
        await run_views.view(session, known.run_id, tenant_id=BIG, silence=MINUTE)
        await run_views.steps(session, known.run_id, tenant_id=BIG)
        await run_views.spans(session, known.run_id, tenant_id=BIG)
        await run_views.log_counts(session, known.run_id, tenant_id=BIG)
        step = await run_views.step(session, known.run_id, "3", tenant_id=BIG)
        assert step is not None
        await run_views.step_logs(session, known.run_id, step.summary, tenant_id=BIG, delivery=1)

    return ask


def chain(known: Known) -> Ask:
    """Ask for a chain."""

    async def ask(session: Session) -> None:
        found = await signal_views.chain_signals(
            session, known.trigger_id, tenant_id=BIG, limit=1_001
        )
        ids = [signal.id for signal in found]
        await signal_views.chain_runs(session, ids, tenant_id=BIG, limit=1_001)

    return ask


def searching(known: Known) -> Ask:
    """Search for everything in turn."""

    async def ask(session: Session) -> None:
        await searches.by_id(session, known.run_id, tenant_id=BIG)
        await searches.by_prefix(session, known.run_id[:16], tenant_id=BIG, limit=20)
        await searches.by_key(session, known.key, tenant_id=BIG, limit=20)
        await searches.by_name(session, "Workflow 1", tenant_id=BIG, limit=20)

    return ask


LISTS: Mapping[str, Callable[[Known], Ask]] = {
    "tenant": lambda _: listing(tenant_id=BIG),
    "tenant, deep": lambda known: listing(known.place, tenant_id=BIG),
    "tenant and status": lambda _: listing(tenant_id=BIG, status="failed"),
    "definition": lambda known: listing(tenant_id=BIG, definition_id=known.definition_id),
    "retrying": lambda _: listing(tenant_id=BIG, attention="retrying"),
    "blocked": lambda _: listing(tenant_id=BIG, attention="blocked"),
    "late": lambda _: listing(tenant_id=BIG, attention="late"),
    "retrying of a small tenant": lambda _: listing(tenant_id="tenant_7", attention="retrying"),
    "late, all": lambda _: listing(attention="late"),
    "signals": lambda _: signals(),
    "signals, deep": lambda known: signals(known.place),
    "signals of a type": lambda _: signals(type="type_1"),
    "signals of a resource": lambda known: signals(resource_id=known.resource_id),
}
READS: Mapping[str, Callable[[Known], Ask]] = {
    "activity of definitions": lambda known: (
        lambda session: definition_views.activity(
            session, [known.definition_id], tenant_id=BIG, since=None
        )
    ),
    "counts": lambda _: counting(tenant_id=BIG),
    "counts of a definition": lambda known: counting(
        tenant_id=BIG, definition_id=known.definition_id
    ),
    "counts of a signal": lambda known: counting(tenant_id=BIG, trigger_id=known.trigger_id),
    "page of a run": page_of_run,
    "chain": chain,
    "search": searching,
}
WALKS: Mapping[str, Callable[[Known], Ask]] = {
    "definitions with a cron": lambda _: (
        lambda session: definitions.list_page(
            session,
            tenant_id=BIG,
            trigger_type=None,
            is_enabled=None,
            has_cron=True,
            after=NEWEST,
            limit=PAGE,
        )
    ),
    "runs of a type": lambda _: listing(tenant_id=BIG, signal_type="type_1"),
    "runs of an unheard type": lambda _: listing(tenant_id=BIG, signal_type="unheard"),
    "counts of a type": lambda _: counting(tenant_id=BIG, signal_type="type_1"),
    "failures": lambda _: failing(tenant_id=BIG),
    "failures of a definition": lambda known: failing(
        tenant_id=BIG, definition_id=known.definition_id
    ),
    "retrying, all": lambda _: listing(attention="retrying"),
    "tenants": lambda _: (
        lambda session: operator_views.list_tenants(
            session, after=None, since=utc_now() - timedelta(days=1), limit=PAGE
        )
    ),
    "workers": lambda _: lambda session: operator_views.list_workers(session, silence=MINUTE),
}
GROUPS = {"list": (LISTS, 30 * PAGE), "read": (READS, 200), "walk": (WALKS, 40_000)}
QUESTIONS = {
    f"{group}: {name}": (ask, pages)
    for group, (asks, pages) in GROUPS.items()
    for name, ask in asks.items()
}


@pytest.mark.parametrize("planning", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("name", QUESTIONS)
async def test_a_view_is_read_by_indexes_and_little_of_it_in_vain(
    filled: asyncpg.Connection, known: Known, name: str, planning: Planning
) -> None:
    ask, pages = QUESTIONS[name]

    plans = await explain(filled, ask(known), planning=planning)

    assert plans
    for plan in plans:
        nodes = list(plan.root.walk())
        scanned = {node.relation for node in nodes if node.kind == "Seq Scan"}
        if not name.startswith("walk"):
            assert scanned <= SMALL, "a table is read as a whole"
        assert plan.pages <= pages, "too many pages are read"


async def test_the_mark_of_a_step_that_is_tried_again_is_a_small_index(
    filled: asyncpg.Connection,
) -> None:
    """Steps that never failed are not in it, and claiming them touches no index."""
    pages = await filled.fetchval(
        "SELECT pg_relation_size('pulse_workflow_step_runs_attention') / 8192"
    )

    assert pages <= 8
