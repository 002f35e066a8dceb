"""What the application does to a connection that it is lent ends with the lending."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress

import asyncpg
import pytest

from pulse_temporal import ConfigurationError, WorkflowContext
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.postgres.connection import Connection, Pool
from tests.harness import SOURCE, TENANT, PulseTest, eventually, make_pulse

STATE = """
SELECT
    current_user::text, session_user::text, current_setting('role'),
    current_setting('search_path'), coalesce(current_setting('app.tenant', true), ''),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
    (SELECT count(*) FROM pg_prepared_statements WHERE from_sql),
    (SELECT count(*) FROM pg_listening_channels()),
    to_regclass('pg_temp.left_behind') IS NULL
"""


async def leave_everything(connection: Connection, role: str) -> None:
    """Do what a careless handler does."""
    await connection.execute("CREATE TEMP TABLE left_behind (x int)")
    await connection.execute("PREPARE left_behind AS SELECT 1")
    await connection.execute("LISTEN left_behind")
    await connection.execute("SELECT pg_advisory_lock(1)")
    await connection.execute("SET search_path = pg_catalog; SET app.tenant = 'acme'")
    await connection.execute(f"SET SESSION AUTHORIZATION {role}")


@pytest.fixture
async def role(connection: asyncpg.Connection) -> AsyncGenerator[str]:
    """Make a role that may do little."""
    await connection.execute("CREATE ROLE weak")
    yield "weak"
    await connection.execute("DROP OWNED BY weak; DROP ROLE weak")


@pytest.fixture(params=["own", "application's", "application's with a role"])
async def lender(
    servers: EmbeddedServices, database: str, request: pytest.FixtureRequest
) -> AsyncGenerator[PulseTest]:
    """Yield an engine that lends the same connection again and again."""
    if request.param == "own":
        pulse = make_pulse(database, servers.temporal_address)
        yield pulse
        await pulse.engine.stop()
        return

    async def init(connection: Connection) -> None:
        if request.param == "application's with a role":
            await connection.execute("SET ROLE pg_database_owner")

    pool: Pool
    async with asyncpg.create_pool(database, min_size=0, max_size=2, init=init) as pool:
        pulse = make_pulse(database, servers.temporal_address, pool=pool)
        yield pulse
        await pulse.engine.stop()


async def state(pulse: PulseTest) -> tuple[object, ...]:
    """Look at what a borrower gets."""
    async with pulse.engine.transaction() as connection:
        row = await connection.fetchrow(STATE)
    assert row is not None
    return tuple(row.values())


async def test_session_state_does_not_leak_to_the_next_borrower(
    lender: PulseTest, role: str
) -> None:
    before = await state(lender)
    async with lender.engine.transaction() as connection:
        await leave_everything(connection, role)
    assert await state(lender) == before

    with suppress(ZeroDivisionError):
        async with lender.engine.transaction() as connection:
            await leave_everything(connection, role)
            raise ZeroDivisionError
    assert await state(lender) == before


async def test_a_statement_cache_that_was_emptied_breaks_nobody(lender: PulseTest) -> None:
    """asyncpg would go on to use statements that the server has forgotten."""
    for _ in range(3):
        async with lender.engine.transaction() as connection:
            assert await connection.fetchval("SELECT 1 + $1::int", 1) == 2
            await connection.execute("DEALLOCATE ALL")


@pytest.mark.parametrize("undone", [False, True])
async def test_emits_on_a_loan_are_reported_whatever_state_it_is_left_in(
    idle_pulse: PulseTest, role: str, *, undone: bool
) -> None:
    """The look before the commit is for which of the emits are still there."""
    idle_pulse.action("work")
    await idle_pulse.define("order.paid", "work")
    emit = idle_pulse.engine.emit
    signal = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid"}
    async with idle_pulse.engine:
        for leave in (f"SET LOCAL ROLE {role}", f"SET SESSION AUTHORIZATION {role}"):
            async with idle_pulse.engine.transaction() as connection:
                kept = await emit(signal, connection=connection)
                with suppress(ZeroDivisionError):
                    async with connection.transaction():
                        await emit(signal, connection=connection)
                        if undone:
                            raise ZeroDivisionError
                await connection.execute(leave)
            run = await idle_pulse.engine.wait_for_run(kept.run_ids[0])
            assert run.status == "completed"
        assert len((await idle_pulse.engine.list_runs()).items) == (2 if undone else 4)


async def test_a_statement_cache_that_was_emptied_after_an_emit_breaks_nobody(
    idle_pulse: PulseTest,
) -> None:
    idle_pulse.signal("order.paid")
    signal = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid"}
    for _ in range(3):
        async with idle_pulse.engine.transaction() as connection:
            await idle_pulse.engine.emit(signal, connection=connection)
            await connection.execute("DEALLOCATE ALL")


async def test_session_state_does_not_leak_to_the_next_transactional_action(
    idle_pulse: PulseTest, role: str
) -> None:
    seen: list[tuple[object, ...]] = []

    @idle_pulse.engine.action("book", transactional=True)
    async def book(ctx: WorkflowContext) -> None:
        row = await ctx.connection.fetchrow(STATE)
        assert row is not None
        seen.append(tuple(row.values()))
        await ctx.connection.execute("CREATE TEMP TABLE left_behind (x int)")
        await ctx.connection.execute("SELECT pg_advisory_lock(1)")
        await ctx.connection.execute(f"SET ROLE {role}")
        if len(seen) == 1:
            raise ValueError("the first attempt fails")
        await ctx.connection.execute("RESET ROLE")

    step = {"type": "action", "name": "book", "retryPolicy": {"maxAttempts": 2, "backoffMs": 100}}
    await idle_pulse.define("order.paid", step)
    async with idle_pulse.engine:
        for _ in range(2):
            assert (await idle_pulse.emit_and_wait("order.paid")).status == "completed"

    assert len(seen) == 3
    assert len(set(seen)) == 1


async def test_a_pool_of_one_is_refused_with_transactional_actions(
    servers: EmbeddedServices, database: str
) -> None:
    pool: Pool
    async with asyncpg.create_pool(database, min_size=0, max_size=1) as pool:
        pulse = make_pulse(database, servers.temporal_address, pool=pool)

        @pulse.engine.action("book", transactional=True)
        async def book(ctx: WorkflowContext) -> None:
            await ctx.connection.execute("SELECT 1")

        with pytest.raises(ConfigurationError, match=r"max_size=1.*at least 2"):
            await pulse.engine.start()
        async with pulse.engine.transaction() as connection:
            assert await connection.fetchval("SELECT 1") == 1
        await pulse.engine.stop()


async def test_a_transactional_action_that_comes_after_the_start_says_so_too(
    servers: EmbeddedServices, database: str
) -> None:
    """Its step shows why it does not start, instead of nothing."""
    pool: Pool
    async with asyncpg.create_pool(database, min_size=0, max_size=1) as pool:
        pulse = make_pulse(database, servers.temporal_address, pool=pool)
        async with pulse.engine:

            @pulse.engine.action("book", transactional=True)
            async def book(ctx: WorkflowContext) -> None:
                await ctx.connection.execute("SELECT 1")

            await pulse.define("order.paid", "book")
            (run_id,) = (await pulse.emit("order.paid")).run_ids

            async def reason() -> str | None:
                step = (await pulse.steps(run_id)).get("0")
                return step.blocked_reason if step else None

            assert "max_size=1" in await eventually(reason)
            await pulse.engine.cancel_run(run_id)
