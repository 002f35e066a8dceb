"""Starts and stops that meet, are given up or are forgotten leave nothing running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from pulse_temporal import ConfigurationError, WorkflowContext, WorkflowRun
from pulse_temporal.embedded import EmbeddedServices
from tests.harness import SOURCE, PulseTest, eventually, make_pulse
from tests.leaks import assert_nothing_left
from tests.processes import Programs
from tests.proxy import TcpProxy

LEAVER = Path(__file__).with_name("leaver.py")
LEAVERS = 3


@pytest.fixture
async def silent() -> AsyncGenerator[TcpProxy]:
    """Yield a Temporal that takes connections and never answers."""
    async with TcpProxy(1) as proxy:
        await proxy.become("black hole")
        yield proxy


@pytest.fixture
async def connecting(database: str, silent: TcpProxy) -> PulseTest:
    """Return an engine whose start waits for Temporal's answer."""
    return make_pulse(database, silent.address)


async def begin_to_start(pulse: PulseTest, silent: TcpProxy) -> asyncio.Future[None]:
    """Start an engine, as far as its connecting to Temporal."""
    start = asyncio.ensure_future(pulse.engine.start())

    async def is_connecting() -> bool:
        return silent.connections > 0

    await eventually(is_connecting)
    assert not start.done()
    return start


async def test_a_stop_while_the_start_connects(
    connecting: PulseTest, silent: TcpProxy, database: str
) -> None:
    start = await begin_to_start(connecting, silent)

    await connecting.engine.stop()

    with pytest.raises(ConfigurationError, match="stopped before it had started"):
        await start
    await assert_nothing_left(database, database=database_name(database))


async def test_a_start_that_is_canceled(
    connecting: PulseTest, silent: TcpProxy, database: str
) -> None:
    start = await begin_to_start(connecting, silent)

    start.cancel()

    with pytest.raises(asyncio.CancelledError):
        await start
    await assert_nothing_left(database, database=database_name(database))


async def test_a_start_that_runs_out_of_time(
    connecting: PulseTest, silent: TcpProxy, database: str
) -> None:
    start = await begin_to_start(connecting, silent)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(start, timeout=0.01)

    await assert_nothing_left(database, database=database_name(database))


async def test_a_start_while_another_one_connects(
    connecting: PulseTest, silent: TcpProxy, database: str
) -> None:
    start = await begin_to_start(connecting, silent)

    with pytest.raises(ConfigurationError, match="being started already"):
        await connecting.engine.start()

    start.cancel()
    await asyncio.wait({start})
    await assert_nothing_left(database, database=database_name(database))


async def test_two_starts_at_once_make_one_worker(idle_pulse: PulseTest, database: str) -> None:
    engine = idle_pulse.engine

    outcomes = await asyncio.gather(engine.start(), engine.start(), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(None), ConfigurationError]
    await engine.stop()
    await assert_nothing_left(database, database=database_name(database))


async def test_a_stop_that_is_cut_goes_on_and_another_one_waits_for_it(
    pulse: PulseTest, database: str
) -> None:
    run_id, gate_opens = await held_run(pulse)
    stop = asyncio.ensure_future(pulse.engine.stop())
    await asyncio.sleep(0)
    stop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stop

    second = asyncio.ensure_future(pulse.engine.stop())
    await asyncio.sleep(0)
    assert not second.done()
    with pytest.raises(ConfigurationError, match="being stopped"):
        await pulse.engine.start()
    gate_opens.set()
    await second

    await assert_nothing_left(database, database=database_name(database))
    assert (await pulse.statuses(run_id))["0"] == "completed", "the handler had its grace"


async def test_a_second_stop_leaves_the_handlers_of_the_first_one_their_connections(
    pulse: PulseTest, database: str
) -> None:
    run_id, gate_opens = await held_run(pulse)

    stops = [asyncio.ensure_future(pulse.engine.stop()) for _ in range(3)]
    await asyncio.wait(stops, timeout=0.2)
    assert not any(stop.done() for stop in stops)
    gate_opens.set()
    await asyncio.gather(*stops)

    await assert_nothing_left(database, database=database_name(database))
    assert (await pulse.statuses(run_id))["0"] == "completed"
    assert len(await chained(pulse)) == 1, "it could still emit"


async def test_an_engine_works_again_after_a_stop_that_was_cut(pulse: PulseTest) -> None:
    pulse.action("pay")
    await pulse.define("order.paid", "pay")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pulse.engine.stop(), timeout=0)
    await pulse.engine.stop()

    await pulse.engine.start()

    assert (await pulse.emit_and_wait("order.paid")).status == "completed"


async def test_a_start_that_fails_leaves_nothing(
    servers: EmbeddedServices, empty_database: str
) -> None:
    """A pool that stays open would keep the database from being dropped."""
    made = make_pulse(empty_database, servers.temporal_address)

    for _ in range(2):
        with pytest.raises(Exception, match="migrate"):
            await made.engine.start()

    await assert_nothing_left(empty_database, database=database_name(empty_database))


@pytest.mark.parametrize("how", ["return", "raise", "cut"])
async def test_a_program_that_forgets_to_stop_ends(
    how: str, servers: EmbeddedServices, database: str, programs: Programs
) -> None:
    """Under load the SDK's worker, canceled with its loop, would wait for ever."""
    leavers = [
        programs.start(str(LEAVER), database, servers.temporal_address, how)
        for _ in range(LEAVERS)
    ]
    for leaver in leavers:
        assert await leaver.ended() == (how == "raise")
        if how != "cut":
            assert "async with engine:" in leaver.stderr


async def test_an_engine_that_was_left_in_a_closed_loop_starts_in_another(
    servers: EmbeddedServices, database: str
) -> None:
    made = make_pulse(database, servers.temporal_address)
    made.action("pay")
    await made.define("order.paid", "pay")
    await made.engine.stop()

    async def work() -> WorkflowRun:
        await made.engine.start()
        return await made.emit_and_wait("order.paid")

    runs = await asyncio.to_thread(lambda: [asyncio.run(work()) for _ in range(2)])

    assert [run.status for run in runs] == ["completed", "completed"]


async def test_an_engine_is_not_stopped_from_another_loop(pulse: PulseTest) -> None:
    with pytest.raises(ConfigurationError, match="another event loop"):
        await asyncio.to_thread(lambda: asyncio.run(pulse.engine.stop()))


async def held_run(pulse: PulseTest) -> tuple[str, asyncio.Event]:
    """Begin a run whose handler waits for an event, and emits a signal then."""
    entered, opens = asyncio.Event(), asyncio.Event()

    async def hold(ctx: WorkflowContext) -> None:
        entered.set()
        await opens.wait()
        await ctx.emit({"source": SOURCE, "type": "order.held"})

    pulse.signal("order.held")
    pulse.engine.register_action("hold", hold)
    await pulse.define("order.paid", "hold")
    trigger = await pulse.emit("order.paid")
    await entered.wait()
    return trigger.run_ids[0], opens


async def chained(pulse: PulseTest) -> list[object]:
    """Return the signals that handlers have emitted."""
    async with pulse.engine.transaction() as connection:
        return [*await connection.fetch("SELECT id FROM pulse_triggers WHERE type = 'order.held'")]


def database_name(dsn: str) -> str:
    """Return the name of the database that a DSN names."""
    return dsn.partition("?")[0].rpartition("/")[2]
