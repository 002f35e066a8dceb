"""A transactional action cannot leave its transaction unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncpg
import pytest

from pulse_temporal import PulseError, WorkflowContext
from pulse_temporal.testing import action
from tests.harness import PulseTest

if TYPE_CHECKING:
    from pulse_temporal.handlers.context import HandlerConnection

THREE = {"maxAttempts": 3, "backoffMs": 100}
EFFECTS = "SELECT count(*) FROM effects"
WRITE = "INSERT INTO effects VALUES (1)"

Work = Callable[["HandlerConnection"], Awaitable[None]]


@pytest.fixture
async def effects(connection: asyncpg.Connection) -> asyncpg.Connection:
    """Return a connection to a database with a table of the application."""
    await connection.execute("CREATE TABLE effects (number int)")
    return connection


def sends(*statements: str) -> Work:
    """Return work that sends some statements, one by one."""

    async def work(connection: HandlerConnection) -> None:
        for statement in statements:
            await connection.execute(statement)

    return work


async def begin_again(connection: HandlerConnection) -> None:
    """End the transaction and begin another one, as a library may that knows of none."""
    await connection.execute("COMMIT")
    transaction = connection.transaction()
    with suppress(asyncpg.PostgresError):
        await transaction.start()
    await connection.execute("BEGIN")


ESCAPES: dict[str, Work] = {
    "commit": sends("COMMIT"),
    "rollback": sends("ROLLBACK"),
    "end": sends("END"),
    "commit and begin": sends("COMMIT", "BEGIN"),
    "rollback and begin": sends("ROLLBACK", "BEGIN"),
    "commit and begin at once": sends("COMMIT; BEGIN"),
    "commit and chain": sends("COMMIT AND CHAIN"),
    "rollback and chain": sends("ROLLBACK AND CHAIN"),
    "reset": lambda connection: connection.reset(),
    "library": begin_again,
}


@pytest.mark.usefixtures("effects")
@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES.keys())
async def test_a_handler_that_ends_its_transaction_has_failed_for_good(
    pulse: PulseTest, escape: Work
) -> None:
    """No success is recorded, and it is not called again: its effect may have stayed."""
    calls: list[int] = []

    @pulse.engine.action("pay", transactional=True)
    async def pay(ctx: WorkflowContext) -> dict[str, object]:
        calls.append(ctx.step.attempt)
        await ctx.connection.execute(WRITE)
        await escape(ctx.connection)
        await ctx.connection.execute(WRITE)
        return {"paid": True}

    await pulse.define("order.paid", action("pay", retryPolicy=THREE))
    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert "TransactionEndedError" in (run.error_message or "")
    assert "may have stayed" in (run.error_message or "")
    assert calls == [1]


@pytest.mark.parametrize("escape", ["COMMIT", "COMMIT; BEGIN", "COMMIT AND CHAIN"])
async def test_a_handler_that_commits_and_fails_is_not_called_again(
    pulse: PulseTest, effects: asyncpg.Connection, escape: str
) -> None:
    """Each further attempt would leave another effect."""

    @pulse.engine.action("pay", transactional=True)
    async def pay(ctx: WorkflowContext) -> None:
        await ctx.connection.execute(WRITE)
        await ctx.connection.execute(escape)
        raise KeyError("receipt")

    await pulse.define("order.paid", action("pay", retryPolicy=THREE))
    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert "TransactionEndedError" in (run.error_message or "")
    assert "KeyError: 'receipt'" in (run.error_message or "")
    assert await effects.fetchval(EFFECTS) == 1


async def test_a_commit_before_a_timeout_is_noticed_too(
    pulse: PulseTest, effects: asyncpg.Connection
) -> None:
    @pulse.engine.action("pay", transactional=True)
    async def pay(ctx: WorkflowContext) -> None:
        await ctx.connection.execute(WRITE)
        await ctx.connection.execute("COMMIT; BEGIN")
        await asyncio.Event().wait()

    await pulse.define("order.paid", action("pay", timeoutMs=200, retryPolicy=THREE))
    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert "TransactionEndedError" in (run.error_message or "")
    assert await effects.fetchval(EFFECTS) == 1


async def nested(connection: HandlerConnection) -> None:
    async with connection.transaction():
        await connection.execute(WRITE)
    with suppress(asyncpg.DivisionByZeroError):
        async with connection.transaction():
            await connection.execute(WRITE)
            await connection.execute("SELECT 1 / 0")


@pytest.mark.parametrize(
    "work",
    [
        nested,
        sends("SAVEPOINT a", WRITE, "RELEASE a"),
        sends(WRITE, "SAVEPOINT a", WRITE, "ROLLBACK TO a"),
        sends("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", WRITE),
    ],
    ids=["nested", "savepoint", "rolled back savepoint", "isolation"],
)
async def test_what_stays_inside_of_the_transaction_is_allowed(
    pulse: PulseTest, effects: asyncpg.Connection, work: Work
) -> None:
    @pulse.engine.action("pay", transactional=True)
    async def pay(ctx: WorkflowContext) -> None:
        await work(ctx.connection)

    await pulse.define("order.paid", "pay")
    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed", run.error_message
    assert await effects.fetchval(EFFECTS) == 1


@pytest.mark.parametrize("through", ["context", "connection", "task"])
async def test_a_handler_that_goes_on_after_its_time_writes_nothing(
    pulse: PulseTest, effects: asyncpg.Connection, through: str
) -> None:
    """Neither before the connection is given back nor after."""
    written: list[asyncio.Future[None]] = []

    async def write_on(ctx: WorkflowContext) -> None:
        lent = ctx.connection
        for _ in range(20_000):
            with suppress(PulseError, asyncpg.InterfaceError, asyncpg.PostgresError, OSError):
                await (ctx.connection if through == "context" else lent).execute(WRITE)
            await asyncio.sleep(0)

    @pulse.engine.action("pay", transactional=True)
    async def pay(ctx: WorkflowContext) -> None:
        if through != "task":
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        written.append(asyncio.ensure_future(write_on(ctx)))
        await asyncio.wait(written)

    await pulse.define("order.paid", action("pay", timeoutMs=200))
    run = await pulse.emit_and_wait("order.paid")
    await asyncio.wait(written)

    assert run.status == "failed"
    assert "HandlerTimeoutError" in (run.error_message or "")
    assert await effects.fetchval(EFFECTS) == 0
