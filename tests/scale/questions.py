"""What is asked of a database while it grows: the calls that applications and workers make."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

import asyncpg

from pulse_temporal import Engine, RunFilter, create_engine
from pulse_temporal.model.ids import new_id
from pulse_temporal.services.pages import write_cursor
from pulse_temporal.store import attempts, claims
from pulse_temporal.store.database import Database
from pulse_temporal.store.fence import Fence
from pulse_temporal.store.places import KeysetPosition
from tests.scale.load import BIG, NOWHERE, History

PREFIX = "pulse_"
PATIENCE = timedelta(seconds=60)
BOUND = timedelta(minutes=5)
CONTEXT_BYTES = 1_000_000
PAGE = 50
FAILED_PAGE = 20
"""As many failed runs as the big tenant of the smaller history has on every page."""

KNOWN = 2_000
"""Ids to choose from, taken evenly from the whole history."""

Question = Callable[[], Awaitable[object]]

SOME_RUNS = """
SELECT r.id, r.tenant_id, r.definition_id, r.trigger_id, t.resource_id
FROM pulse_workflow_runs AS r JOIN pulse_triggers AS t ON t.id = r.trigger_id
WHERE t.type <> 'long' ORDER BY md5(r.id) LIMIT $1
"""
LONG_RUNS = """
SELECT r.id FROM pulse_workflow_runs AS r JOIN pulse_triggers AS t ON t.id = r.trigger_id
WHERE t.tenant_id = $1 AND t.type = 'long'
"""
MIDDLE = """
SELECT created_at, id FROM pulse_workflow_runs WHERE created_at < $1
ORDER BY created_at DESC, id DESC LIMIT 1
"""
MOMENTS = "SELECT min(created_at) AS first, max(created_at) AS last FROM pulse_workflow_runs"
BIG_DEFINITION = """
SELECT id FROM pulse_workflow_definitions WHERE tenant_id = $1 AND trigger_type = 'type_0'
"""


@dataclass(frozen=True, slots=True)
class Ids:
    """What there is to ask about."""

    runs: list[asyncpg.Record]
    long_runs: list[str]
    big_definition: str
    middle: KeysetPosition
    cursor: str

    @staticmethod
    async def read(dsn: str) -> Ids:
        """Choose ids from a database."""
        connection = await asyncpg.connect(dsn)
        try:
            span = await connection.fetchrow(MOMENTS)
            assert span is not None
            middle = await connection.fetchrow(
                MIDDLE, span["first"] + (span["last"] - span["first"]) / 2
            )
            assert middle is not None
            place = KeysetPosition(middle["created_at"], middle["id"])
            return Ids(
                runs=await connection.fetch(SOME_RUNS, KNOWN),
                long_runs=[row["id"] for row in await connection.fetch(LONG_RUNS, BIG)],
                big_definition=await connection.fetchval(BIG_DEFINITION, BIG),
                middle=place,
                cursor=write_cursor(place),
            )
        finally:
            await connection.close()


@dataclass(frozen=True)
class Subject:
    """One database under test: an engine that is not started, and a worker's connection."""

    history: History
    engine: Engine
    database: Database
    ids: Ids
    random: Random
    fresh: list[tuple[str, str]]
    claimed: list[claims.Claimed]

    def run(self) -> asyncpg.Record:
        """Choose a run."""
        return self.random.choice(self.ids.runs)

    def type(self) -> str:
        """Choose a type of signals that tenants have a definition for."""
        return f"type_{self.random.randrange(self.history.of_each)}"

    async def emit(self, type_: str, *, key: str | None = None) -> None:
        """Emit for some tenant; runs that it starts are kept for claims."""
        tenant_id: str = self.run()["tenant_id"]
        trigger = await self.engine.emit(
            {
                "tenantId": tenant_id,
                "source": "shop",
                "type": type_,
                "resourceId": f"order_{self.random.randrange(10**9)}",
                "idempotencyKey": key,
                "payload": {"orderId": 1, "amount": 12},
            }
        )
        self.fresh.extend((run_id, tenant_id) for run_id in trigger.run_ids)

    async def claim(self) -> None:
        """Begin a fresh run and take its first step."""
        run_id, tenant_id = self.fresh.pop()
        execution = new_id("run")
        fence = Fence(
            run_id=run_id,
            tenant_id=tenant_id,
            generation=1,
            branch="",
            temporal_run_id=execution,
            first_execution_run_id=execution,
            parent_run_id=None,
            parent_first_run_id=None,
        )
        terms = claims.ClaimTerms(
            worker_id="wrk_1", timeout=BOUND, waited_after=0, opens_list=True
        )
        async with self.database.session() as session:
            claimed = await claims.claim(session, fence, "0", terms=terms)
        assert claimed is not None
        self.claimed.append(claimed)

    async def record(self) -> None:
        """Record the result of the step that was taken last."""
        claim_ref = self.claimed.pop().claim_ref
        async with self.database.session() as session:
            recorded = await attempts.record_success(
                session,
                claim_ref,
                succeeded=attempts.Succeeded('{"paid":true}'),
                logs=[],
                context_bytes=CONTEXT_BYTES,
                ends=False,
            )
        assert recorded == "recorded"

    async def page(
        self, wanted: RunFilter, *, limit: int = PAGE, cursor: str | None = None
    ) -> None:
        """Read a page of runs."""
        await self.engine.list_runs(wanted, limit=limit, cursor=cursor)


@asynccontextmanager
async def subject(dsn: str, history: History, *, seed: int) -> AsyncGenerator[Subject]:
    """Open a loaded database."""
    engine = create_engine(dsn, NOWHERE)
    engine.register_trigger("unheard", source="shop")
    for number in range(history.of_each):
        engine.register_trigger(f"type_{number}", source="shop")
    database = Database(dsn, prefix=PREFIX, timeout=PATIENCE)
    try:
        ids = await Ids.read(dsn)
        yield Subject(history, engine, database, ids, Random(seed), [], [])  # noqa: S311 - chooses rows
    finally:
        await database.close()
        await engine.stop()


def writes(at: Subject) -> Mapping[str, Question]:
    """Name what adds to the history; a claim needs a run that was emitted before it."""
    return {
        "emit, no match": lambda: at.emit("unheard"),
        "emit, one match": lambda: at.emit(at.type()),
        "emit, new key": lambda: at.emit("unheard", key=new_id("trg")),
        "claim": at.claim,
        "record": at.record,
    }


def reads(at: Subject) -> Mapping[str, Question]:
    """Name what is asked about the history."""
    engine, ids, choose = at.engine, at.ids, at.random.choice
    big = RunFilter(tenant_id=BIG)
    return {
        "run": lambda: engine.get_run(at.run()["id"]),
        "trigger": lambda: engine.get_trigger(at.run()["trigger_id"]),
        "timeline, 5 steps": lambda: engine.get_run_timeline(at.run()["id"]),
        "timeline, 20 steps": lambda: engine.get_run_timeline(choose(ids.long_runs)),
        "failed runs": lambda: engine.get_failed_runs(tenant_id=BIG, limit=FAILED_PAGE),
        "failed runs, all tenants": lambda: engine.get_failed_runs(limit=PAGE),
        "definitions": lambda: engine.list_workflows(tenant_id=at.run()["tenant_id"], limit=1),
        "list: some tenant": lambda: at.page(RunFilter(tenant_id=at.run()["tenant_id"])),
        "list: big tenant": lambda: at.page(big),
        "list: big tenant, deep": lambda: at.page(big, cursor=ids.cursor),
        "list: status": lambda: at.page(
            RunFilter(tenant_id=BIG, status="failed"), limit=FAILED_PAGE
        ),
        "list: status, deep": lambda: at.page(
            RunFilter(tenant_id=BIG, status="completed"), cursor=ids.cursor
        ),
        "list: three statuses": lambda: at.page(
            RunFilter(tenant_id=BIG, status=["pending", "running", "completed"])
        ),
        "list: definition": lambda: at.page(
            RunFilter(tenant_id=BIG, definition_id=ids.big_definition)
        ),
        "list: definition, deep": lambda: at.page(
            RunFilter(tenant_id=BIG, definition_id=ids.big_definition), cursor=ids.cursor
        ),
        "list: definition and status": lambda: at.page(
            RunFilter(tenant_id=BIG, definition_id=ids.big_definition, status="completed")
        ),
        "list: trigger": lambda: at.page(RunFilter(trigger_id=at.run()["trigger_id"])),
        "list: resource": lambda: at.page(_about(at.run())),
        "list: time": lambda: at.page(RunFilter(tenant_id=BIG, created_before=_at(ids.middle))),
        "list: all tenants": lambda: at.page(RunFilter()),
        "list: all tenants, deep": lambda: at.page(RunFilter(), cursor=ids.cursor),
        "list: all tenants, status, deep": lambda: at.page(
            RunFilter(status="failed"), cursor=ids.cursor
        ),
    }


def _about(run: asyncpg.Record) -> RunFilter:
    return RunFilter(tenant_id=run["tenant_id"], resource_id=run["resource_id"])


def _at(place: KeysetPosition) -> datetime | None:
    return place.at
