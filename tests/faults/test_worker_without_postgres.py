"""A worker that has lost Postgres but not Temporal leaves the work to others."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from pulse_temporal import WorkflowContext
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import action, delay
from tests.harness import PulseTest, eventually, make_pulse
from tests.leaks import assert_nothing_left
from tests.proxy import TcpProxy

pytestmark = pytest.mark.faults

RUNS = 15
PATIENCE = timedelta(seconds=60)
ROLE = "pulse_cut_off"
MAKE_ROLE = f"""
CREATE ROLE {ROLE} LOGIN PASSWORD 'first';
GRANT ALL ON SCHEMA public TO {ROLE};
GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE};
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {ROLE};
"""
ASK_FOR_PASSWORD = f"local all {ROLE} scram-sha-256\n"
END_ITS_CONNECTIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1"


@dataclass
class CutOff:
    """An engine that works under a role of its own, from which Postgres is taken away.

    Attributes:
        front: Emits and asks under another role.
        pulse: Works.
        admin: Takes away and gives back.
        proxy: Between the worker and Postgres.
    """

    front: PulseTest
    pulse: PulseTest
    admin: asyncpg.Connection
    proxy: TcpProxy

    async def alter_role(self, change: str) -> None:
        """Change the role, which takes effect at once."""
        await self.admin.execute(f"ALTER ROLE {ROLE} {change}")
        await self.admin.execute(END_ITS_CONNECTIONS, ROLE)


Change = Callable[[CutOff], Awaitable[None]]

LOSSES: dict[str, tuple[Change, Change]] = {
    "turned away": (
        lambda it: it.alter_role("NOLOGIN"),
        lambda it: it.alter_role("LOGIN"),
    ),
    "no connection left": (
        lambda it: it.alter_role("CONNECTION LIMIT 0"),
        lambda it: it.alter_role("CONNECTION LIMIT -1"),
    ),
    "read-only": (
        lambda it: it.alter_role("SET default_transaction_read_only = on"),
        lambda it: it.alter_role("RESET default_transaction_read_only"),
    ),
    "another password": (
        lambda it: it.alter_role("PASSWORD 'second'"),
        lambda it: it.alter_role("PASSWORD 'first'"),
    ),
    "black hole": (
        lambda it: it.proxy.become("black hole"),
        lambda it: it.proxy.become("pass"),
    ),
}
"""How this worker alone loses Postgres, and how it gets it back."""

EACH_LOSS = pytest.mark.parametrize(("lose", "heal"), LOSSES.values(), ids=LOSSES.keys())


@pytest.fixture
async def asks_for_password(connection: asyncpg.Connection) -> AsyncGenerator[None]:
    """Let the server ask this role, and no other, for its password."""
    rules = Path(await connection.fetchval("SHOW hba_file"))
    before = rules.read_text(encoding="utf-8")
    rules.write_text(ASK_FOR_PASSWORD + before, encoding="utf-8")
    await connection.execute("SELECT pg_reload_conf()")
    yield
    rules.write_text(before, encoding="utf-8")
    await connection.execute("SELECT pg_reload_conf()")


@pytest.fixture
async def proxy(connection: asyncpg.Connection) -> AsyncGenerator[TcpProxy]:
    """Stand between the worker and Postgres."""
    folder = await connection.fetchval("SHOW unix_socket_directories")
    port = await connection.fetchval("SHOW port")
    async with TcpProxy(Path(folder.strip('"')) / f".s.PGSQL.{port}") as made:
        yield made


@pytest.fixture
async def cut_off(
    servers: EmbeddedServices,
    database: str,
    connection: asyncpg.Connection,
    proxy: TcpProxy,
    asks_for_password: None,  # noqa: ARG001 - the role has a password then
) -> AsyncGenerator[CutOff]:
    """Yield an engine that works under a role of its own, and one that only emits."""
    await connection.execute(MAKE_ROLE)
    front = make_pulse(database, servers.temporal_address)
    pulse = make_pulse(
        f"postgresql://{ROLE}:first@{proxy.address}/{database_name(database)}",
        servers.temporal_address,
        like=front,
        postgres_timeout=timedelta(seconds=1),
        shutdown_grace=timedelta(seconds=1),
    )
    await front.engine.start(worker=False)
    await pulse.engine.start()
    yield CutOff(front, pulse, connection, proxy)
    await pulse.engine.stop()
    await front.engine.stop()
    await assert_nothing_left(servers.dsn)
    await connection.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def knows_the_steps(pulse: PulseTest, calls: list[str], *, name: str) -> None:
    """Register handlers of which some run locally and some through the queue."""

    async def work(ctx: WorkflowContext) -> None:
        calls.append(name)
        assert ctx.step.attempt == 1

    for handler in ("local", "queued", "last"):
        pulse.engine.register_action(handler, work)
    pulse.signal("order.paid")


STEPS = (action("local", timeoutMs=1_000), "queued", delay("rest", 200), "last")


@EACH_LOSS
async def test_work_goes_on_in_a_worker_that_has_postgres(
    cut_off: CutOff, lose: Change, heal: Change, caplog: pytest.LogCaptureFixture
) -> None:
    """The other one takes nothing until it can write again, says so, and ends when it is told."""
    caplog.set_level(logging.WARNING)
    calls: list[str] = []
    healthy = make_pulse(cut_off.front.dsn, cut_off.front.temporal_address, like=cut_off.front)
    knows_the_steps(cut_off.pulse, calls, name="cut off")
    knows_the_steps(healthy, calls, name="healthy")
    await cut_off.front.define("order.paid", *STEPS)
    async with healthy.engine:
        await lose(cut_off)
        await wait_for_log(caplog, "takes no work")
        calls.clear()
        runs = [(await cut_off.front.emit("order.paid")).run_ids[0] for _ in range(RUNS)]
        ended = [await cut_off.front.engine.wait_for_run(run, 60) for run in runs]
        assert {run.status for run in ended} == {"completed"}
        assert set(calls) == {"healthy"}
        assert said(caplog, "takes no work") < 4
    await heal(cut_off)
    await wait_for_log(caplog, "takes work")
    calls.clear()
    run = await cut_off.front.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert set(calls) == {"cut off"}


@EACH_LOSS
async def test_a_worker_without_postgres_stops(
    cut_off: CutOff, lose: Change, heal: Change
) -> None:
    """Also in the middle of its work; the rest is for others, and nothing of it is left here."""
    calls: list[str] = []
    knows_the_steps(cut_off.pulse, calls, name="cut off")
    await cut_off.front.define("order.paid", *STEPS)
    runs = [(await cut_off.front.emit("order.paid")).run_ids[0] for _ in range(RUNS)]
    await lose(cut_off)
    await cut_off.pulse.engine.stop()
    await heal(cut_off)
    await cut_off.pulse.engine.start()
    ended = [await cut_off.front.engine.wait_for_run(run, 60) for run in runs]

    assert {run.status for run in ended} == {"completed"}


async def test_everything_waits_while_no_worker_has_postgres(
    cut_off: CutOff, caplog: pytest.LogCaptureFixture
) -> None:
    """No run fails, no history grows, a running handler is left alone; then all goes on."""
    caplog.set_level(logging.WARNING)
    calls: list[str] = []
    knows_the_steps(cut_off.pulse, calls, name="cut off")
    gate = cut_off.pulse.gate("slow")
    await cut_off.front.define("order.paid", *STEPS)
    await cut_off.front.define("order.slow", "slow")
    cut_off.pulse.signal("order.slow")
    (slow,) = (await cut_off.front.emit("order.slow")).run_ids
    await gate.reached()
    lose, heal = LOSSES["turned away"]
    runs = [(await cut_off.front.emit("order.paid")).run_ids[0] for _ in range(RUNS)]
    await lose(cut_off)
    await wait_for_log(caplog, "takes no work")
    runs += [(await cut_off.front.emit("order.paid")).run_ids[0] for _ in range(RUNS)]
    await wait_for_log(caplog, "takes no work", times=2)
    before = await events(cut_off.front, runs)
    await wait_for_log(caplog, "takes no work", times=3)
    after = await events(cut_off.front, runs)
    gate.open()
    await heal(cut_off)
    ended = [await cut_off.front.engine.wait_for_run(run, 90) for run in [slow, *runs]]

    assert {run.status for run in ended} == {"completed"}
    assert len(gate.calls) == 1
    grown = [late - early for early, late in zip(before, after, strict=True)]
    assert max(grown) <= 3, "a task that was taken before the loss may still time out, once"
    assert max(after) < 20


async def test_a_result_that_could_not_be_recorded_is_lost_and_not_failed(
    cut_off: CutOff, caplog: pytest.LogCaptureFixture
) -> None:
    """Its worker lives when Postgres is back, but it did not let the deadline pass."""
    caplog.set_level(logging.WARNING)
    gate = cut_off.pulse.gate("pay")
    await cut_off.front.define("order.paid", action("pay", timeoutMs=1_000))
    cut_off.pulse.signal("order.paid")
    (run_id,) = (await cut_off.front.emit("order.paid")).run_ids
    await gate.reached()
    lose, heal = LOSSES["turned away"]
    await lose(cut_off)
    gate.open()
    await wait_for_log(caplog, "was lost and does not count")
    await wait_for_log(caplog, "takes no work")
    await heal(cut_off)

    assert (await cut_off.front.engine.wait_for_run(run_id, 60)).status == "completed"
    assert [context.step.attempt for context in gate.calls] == [1, 1]


async def events(pulse: PulseTest, runs: list[str]) -> list[int]:
    """Return how long the histories of runs are; 0 for those that Temporal does not know yet."""
    client = await Client.connect(pulse.temporal_address)
    lengths: list[int] = []
    for run in runs:
        try:
            described = await client.get_workflow_handle(run).describe()
        except RPCError:
            lengths.append(0)
        else:
            lengths.append(described.history_length)
    return lengths


def said(caplog: pytest.LogCaptureFixture, text: str) -> int:
    """Return how often the log says something."""
    return sum(text in record.getMessage() for record in caplog.records)


async def wait_for_log(caplog: pytest.LogCaptureFixture, text: str, *, times: int = 1) -> None:
    """Wait until the log has said something so often."""

    async def is_there() -> bool:
        return said(caplog, text) >= times

    await eventually(is_there, within=PATIENCE)


def database_name(dsn: str) -> str:
    """Return the name of the database that a DSN names."""
    return dsn.partition("?")[0].rpartition("/")[2]
