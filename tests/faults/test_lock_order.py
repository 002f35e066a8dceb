"""Transactions about one run lock its rows in one order, so none of them waits in a circle."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from itertools import combinations_with_replacement

import asyncpg
import pytest

from pulse_temporal import PulseError
from pulse_temporal.embedded import EmbeddedServices
from tests.conftest import copy_template, dsn_of, run_sql
from tests.faults.run_transactions import Stage, Transactions
from tests.harness import PulseTest, eventually

ROUNDS = 3
AT_ONCE = 12
SEED = 20_261_129

pytestmark = pytest.mark.faults

ROWS = {
    "control": "pulse_run_control WHERE run_id = $1",
    "run": "pulse_workflow_runs WHERE id = $1",
    "step 0": "pulse_workflow_step_runs WHERE run_id = $1 AND path = '0'",
    "step 1": "pulse_workflow_step_runs WHERE run_id = $1 AND path = '1'",
    "step 1/b0/0": "pulse_workflow_step_runs WHERE run_id = $1 AND path = '1/b0/0'",
    "step 2": "pulse_workflow_step_runs WHERE run_id = $1 AND path = '2'",
    "attempt of 0": "pulse_step_attempts WHERE run_id = $1 AND step_run_id = "
    "(SELECT id FROM pulse_workflow_step_runs WHERE run_id = $1 AND path = '0')",
    "attempt of 1/b0/0": "pulse_step_attempts WHERE run_id = $1 AND step_run_id = "
    "(SELECT id FROM pulse_workflow_step_runs WHERE run_id = $1 AND path = '1/b0/0')",
}
"""The rows that transactions about a run meet at."""

RANKS = ("control", "run", "step", "attempt")
"""What is locked first comes first."""


@pytest.fixture
async def database(servers: EmbeddedServices, template: str) -> AsyncGenerator[str]:
    """Yield a migrated database whose runs need make no sense: transactions come in any order."""
    await copy_template(servers.dsn, template, name="pulse_locks")
    yield dsn_of(servers.dsn, "pulse_locks")
    await run_sql(servers.dsn, 'DROP DATABASE "pulse_locks" WITH (FORCE)')


@pytest.fixture
async def transactions(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> AsyncGenerator[Transactions]:
    """Yield the transactions of a worker whose engine is not started."""
    made = Transactions(idle_pulse)
    await made.prepare(connection)
    yield made
    await made.database.close()


async def attempt(transactions: Transactions, name: str, stage: Stage) -> None:
    """Carry a transaction out; what it refuses is its right."""
    try:
        await transactions.all()[name](stage)
    except PulseError:
        return


def rank(row: str) -> int:
    """Return how early a row is locked."""
    return RANKS.index(row.split(maxsplit=1)[0])


async def test_every_transaction_locks_control_run_steps_attempts(
    transactions: Transactions, connection: asyncpg.Connection, database: str
) -> None:
    """Whoever waits for one of a run's rows holds none that comes after it."""
    holder = await asyncpg.connect(database)
    wrong: list[str] = []
    try:
        for name in transactions.all():
            for row, where in ROWS.items():
                stage = await transactions.stage(connection)
                held = await held_while_waiting(transactions, name, stage, row=where, by=holder)
                if row == "control" and held is None:
                    wrong.append(f"{name} does not wait for the control row")
                wrong += [
                    f"{name} holds {other} and waits for {row}"
                    for other in held or ()
                    if rank(other) > rank(row)
                ]
    finally:
        await holder.close()
    assert not wrong


async def held_while_waiting(
    transactions: Transactions, name: str, stage: Stage, *, row: str, by: asyncpg.Connection
) -> list[str] | None:
    """Hold a row and give what a transaction holds that waits for it; None: it does not wait."""
    held: list[str] | None = None
    async with asyncio.TaskGroup() as tasks, by.transaction():
        await by.execute(f"SELECT 1 FROM {row} FOR NO KEY UPDATE", stage.run_id)  # noqa: S608 - rows of this module
        task = tasks.create_task(attempt(transactions, name, stage))

        async def is_clear() -> bool:
            return task.done() or await waits_for(by)

        await eventually(is_clear, pause_seconds=0.002)
        if not task.done():
            held = [other for other, where in ROWS.items() if await is_held(by, where, stage)]
    return held


async def waits_for(holder: asyncpg.Connection) -> bool:
    """Return whether another session waits for this one."""
    return await holder.fetchval(
        "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
    )


async def is_held(holder: asyncpg.Connection, row: str, stage: Stage) -> bool:
    """Return whether another session has locked a row for a change."""
    try:
        async with holder.transaction():
            await holder.fetch(
                f"SELECT 1 FROM {row} FOR NO KEY UPDATE NOWAIT",  # noqa: S608 - rows of this module
                stage.run_id,
            )
    except asyncpg.LockNotAvailableError:
        return True
    return False


async def test_every_pair_of_transactions_at_the_same_moment(
    transactions: Transactions, connection: asyncpg.Connection
) -> None:
    """Postgres finds no deadlock, whichever two transactions meet at a run."""
    moments = random.Random(SEED)  # noqa: S311 - chance for tests, not for secrets
    pairs = list(combinations_with_replacement(transactions.all(), 2)) * ROUNDS
    moments.shuffle(pairs)
    slots = asyncio.Semaphore(AT_ONCE)

    async def meet(first: str, second: str, stage: Stage) -> None:
        async with slots:
            await asyncio.gather(
                attempt(transactions, first, stage), attempt(transactions, second, stage)
            )

    async with asyncio.TaskGroup() as meetings:
        for first, second in pairs:
            stage = await transactions.stage(connection)
            meetings.create_task(meet(first, second, stage))

    # The server counts a session's deadlocks at the latest when the session ends.
    await transactions.database.close()
    await transactions.pulse.engine.stop()
    await eventually(lambda: is_alone(connection))
    deadlocks: int = await connection.fetchval(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    assert deadlocks == 0


async def is_alone(connection: asyncpg.Connection) -> bool:
    """Return whether no other session uses this database."""
    return not await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
