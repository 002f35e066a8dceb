"""Relays take turns between tenants, and do not read what is done, whoever holds vacuum back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import timedelta

import asyncpg
import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from pulse_temporal.model.dialect import DIALECT
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.outbox.dispatch import Dispatcher
from pulse_temporal.services.outbox.relay import Relay
from pulse_temporal.services.runs.control import RunControl
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.services.runs.waiting import RunWaiter
from pulse_temporal.store import outbox
from pulse_temporal.store.database import Database
from tests.harness import SOURCE, PulseTest, eventually
from tests.integration.explain import explain

QUEUE = "turns"
LEASE = timedelta(minutes=5)
DEAD = 20_000
FEW_PAGES = 60
PAGES_OF_TAKEN = 20
"""Pages that one command costs at most: its own, those of its index entries, old and new."""

PUT = """
INSERT INTO pulse_outbox (kind, tenant_id, definition_id, task_queue)
SELECT $1, $2, $2 || n, $3 FROM generate_series(1, $4::int) AS n
"""


@pytest.fixture
async def store(database: str) -> AsyncGenerator[Database]:
    """Yield the tables as a relay sees them."""
    opened = Database(database, prefix="pulse_", timeout=timedelta(seconds=10))
    yield opened
    await opened.close()


@pytest.fixture
async def long_transaction(database: str) -> AsyncGenerator[None]:
    """Hold a snapshot, as a backup or a forgotten session does; vacuum removes nothing since."""
    holder = await asyncpg.connect(database)
    async with holder.transaction(isolation="repeatable_read", readonly=True):
        await holder.execute("SELECT 1 FROM pulse_outbox")
        yield
    await holder.close()


async def lease(
    store: Database, subject: outbox.Subject = "runs", *, limit: int = 100, after: str = ""
) -> Counter[str]:
    """Take commands; give how many each tenant had."""
    async with store.session() as session:
        found = await outbox.lease(
            session, subject, task_queue=QUEUE, length=LEASE, limit=limit, after=after
        )
    return Counter(command.tenant_id for command in found)


@pytest.mark.parametrize(("kind", "subject"), [("start", "runs"), ("schedule", "schedules")])
async def test_a_quiet_tenant_has_its_turn_in_the_first_lease(
    store: Database, connection: asyncpg.Connection, kind: str, subject: outbox.Subject
) -> None:
    await connection.execute(PUT, kind, "noisy", QUEUE, 5_000)
    await connection.execute(PUT, kind, "quiet", QUEUE, 1)

    assert await lease(store, subject) == {"noisy": 50, "quiet": 1}
    assert await lease(store, subject) == {"noisy": 100}


async def test_every_tenant_has_its_turn_when_there_are_more_than_a_lease_holds(
    store: Database, connection: asyncpg.Connection
) -> None:
    for number in range(10):
        await connection.execute(PUT, "start", f"tenant_{number}", QUEUE, 100)

    served: Counter[str] = Counter()
    after = ""
    for _ in range(5):
        async with store.session() as session:
            found = await outbox.lease(
                session, "runs", task_queue=QUEUE, length=LEASE, limit=4, after=after
            )
        served += Counter(command.tenant_id for command in found)
        after = found[0].last_turn

    assert served == {f"tenant_{number}": 2 for number in range(10)}


async def test_a_lease_reads_nothing_of_a_backlog_but_what_it_takes(
    connection: asyncpg.Connection,
) -> None:
    await connection.execute(PUT, "start", "noisy", QUEUE, 20_000)
    await connection.execute(PUT, "start", "quiet", QUEUE, 1)
    await connection.execute("ANALYZE pulse_outbox")

    async def ask(session: Session) -> object:
        return await outbox.lease(session, "runs", task_queue=QUEUE, length=LEASE, limit=50)

    for planning in ("force_generic_plan", "force_custom_plan"):
        (plan,) = await explain(connection, ask, planning=planning)
        scanned = {node.kind for node in plan.root.walk() if node.relation == "pulse_outbox"}
        assert "Seq Scan" not in scanned
        assert plan.pages < 1_000


async def test_commands_of_a_newer_dialect_take_no_share_and_are_not_read(
    store: Database, connection: asyncpg.Connection
) -> None:
    """Also where they are due longest, and where their tenant has others too."""
    for tenant_id in ("newer", "noisy"):
        await connection.execute(PUT, "start", tenant_id, QUEUE, 20_000)
    await connection.execute("UPDATE pulse_outbox SET dialect = $1", DIALECT + 1)
    await connection.execute(PUT, "start", "noisy", QUEUE, 5_000)
    await connection.execute(PUT, "start", "quiet", QUEUE, 1)
    await connection.execute("VACUUM (ANALYZE) pulse_outbox")

    async def ask(session: Session) -> object:
        return await outbox.lease(session, "runs", task_queue=QUEUE, length=LEASE, limit=20)

    for planning in ("force_generic_plan", "force_custom_plan"):
        (plan,) = await explain(connection, ask, planning=planning)
        assert plan.pages < FEW_PAGES + PAGES_OF_TAKEN * 20
    assert await lease(store) == {"noisy": 50, "quiet": 1}


async def test_dialects_share_the_share_of_their_tenant(
    store: Database, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "DIALECT", DIALECT + 1)
    await connection.execute(PUT, "start", "two", QUEUE, 1_000)
    await connection.execute("UPDATE pulse_outbox SET dialect = $1", DIALECT + 1)
    for tenant_id in ("two", "one"):
        await connection.execute(PUT, "start", tenant_id, QUEUE, 1_000)

    async with store.session() as session:
        found = await outbox.lease(session, "runs", task_queue=QUEUE, length=LEASE, limit=100)
        turns = await outbox.newcomers(session, "runs", task_queue=QUEUE, since=0)
        new = await outbox.lease_new(
            session, "runs", task_queue=QUEUE, length=LEASE, share=10, turns=turns
        )

    assert Counter((each.tenant_id, each.dialect) for each in found) == {
        ("one", DIALECT): 50,
        ("two", DIALECT): 25,
        ("two", DIALECT + 1): 25,
    }
    assert Counter((each.tenant_id, each.dialect) for each in new) == {
        ("one", DIALECT): 10,
        ("two", DIALECT): 10,
        ("two", DIALECT + 1): 10,
    }


async def test_of_more_dialects_than_a_share_has_room_for_the_oldest_command_is_taken(
    store: Database, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "DIALECT", DIALECT + 1)
    await connection.execute(PUT, "start", "two", QUEUE, 1)
    await connection.execute("UPDATE pulse_outbox SET dialect = $1", DIALECT + 1)
    await connection.execute(PUT, "start", "two", QUEUE, 10)
    async with store.session() as session:
        found = [
            await outbox.lease(session, "runs", task_queue=QUEUE, length=LEASE, limit=1)
            for _ in range(3)
        ]

    assert [[each.dialect for each in part] for part in found] == [
        [DIALECT + 1],
        [DIALECT],
        [DIALECT],
    ]


async def test_tenants_that_are_passed_over_take_no_share(
    store: Database, connection: asyncpg.Connection
) -> None:
    for tenant_id in ("first", "full", "last"):
        await connection.execute(PUT, "start", tenant_id, QUEUE, 100)

    async with store.session() as session:
        found = await outbox.lease(
            session, "runs", task_queue=QUEUE, length=LEASE, limit=100, passed_over=["full"]
        )

    assert Counter(command.tenant_id for command in found) == {"first": 50, "last": 50}


@pytest.mark.usefixtures("long_transaction")
async def test_new_commands_are_found_without_reading_deleted_ones(
    store: Database, connection: asyncpg.Connection
) -> None:
    """Rows that are deleted stay in the table and its indexes while a transaction holds vacuum."""
    await connection.execute(PUT, "start", "noisy", QUEUE, DEAD)
    await connection.execute("DELETE FROM pulse_outbox")
    async with store.session() as session:
        seen = await outbox.newest(session)
    assert seen is not None
    await connection.execute(PUT, "start", "quiet", QUEUE, 1)

    async def look(session: Session) -> object:
        turns = await outbox.newcomers(session, "runs", task_queue=QUEUE, since=seen)
        assert list(turns) == ["quiet"]
        leased = await outbox.lease_new(
            session, "runs", task_queue=QUEUE, length=LEASE, share=50, turns=turns
        )
        assert [command.tenant_id for command in leased] == ["quiet"]
        return leased

    for planning in ("force_generic_plan", "force_custom_plan"):
        plans = await explain(connection, look, planning=planning)
        assert sum(plan.pages for plan in plans) < FEW_PAGES


async def test_a_relay_whose_full_looks_are_rare_finds_what_is_new(
    idle_pulse: PulseTest, store: Database, connection: asyncpg.Connection
) -> None:
    """New commands at once, those that were put off with the next full look."""
    await idle_pulse.define("order.paid")
    observers = Observers(store, RunWaiter(store), on_step=None, on_run=None)
    options = idle_pulse.engine.options
    dispatcher = Dispatcher(store, observers, options)
    dispatcher.client = await Client.connect(
        idle_pulse.temporal_address, data_converter=pydantic_data_converter
    )
    relay = Relay(store, dispatcher, options, subject="runs")
    dispatching = asyncio.ensure_future(dispatcher.run())

    async def no_command_is_left() -> bool:
        return await connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0

    assert await relay.tick() == 0
    async with store.session() as session:
        relay.turns.mark(await outbox.newest(session), now=0.0)
    relay.turns.looked_at_all([], began=10.0, now=1e9)
    (run_id,) = (await idle_pulse.emit("order.paid")).run_ids
    (put_off,) = (await idle_pulse.emit("order.paid")).run_ids
    await connection.execute(
        "UPDATE pulse_outbox SET leased_until = now(), tries = 1 WHERE run_id = $1", put_off
    )

    assert await relay.tick() == 1
    assert await relay.tick() == 0

    relay.begin()
    assert await relay.tick() == 1
    await eventually(no_command_is_left)
    control = RunControl(store, observers)
    for started in (run_id, put_off):
        await control.cancel(started, tenant_id=None, reason=None, by=None)
    assert await relay.tick() == 2
    dispatching.cancel()


async def test_a_quiet_tenants_run_starts_before_a_noisy_ones_backlog(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    idle_pulse.action("work")
    for tenant_id in ("noisy", "quiet"):
        await idle_pulse.define("order.paid", "work", tenant_id=tenant_id)
    signal = {"source": SOURCE, "type": "order.paid"}
    for tenant_id, count in (("noisy", 1_000), ("quiet", 1)):
        async with connection.transaction():
            emitted = await idle_pulse.engine.emit_many(
                [signal | {"tenantId": tenant_id}] * count, connection=connection
            )

    await idle_pulse.engine.start()
    run = await idle_pulse.engine.wait_for_run(emitted[0].run_ids[0], 30)

    assert run.status == "completed"
    before = await connection.fetchval(
        "SELECT count(*) FROM pulse_workflow_runs WHERE tenant_id = 'noisy' AND started_at < $1",
        run.started_at,
    )
    assert before <= 200
