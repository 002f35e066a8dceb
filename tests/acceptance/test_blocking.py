"""The engine without async: scripts, threads, web servers that know no event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pulse_temporal import (
    ConfigurationError,
    Engine,
    TriggerEnvelope,
    UnknownSignalError,
    WorkflowContext,
)
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import action
from tests.harness import SOURCE, TENANT, PulseTest, make_pulse

SIGNAL = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid"}
DEFINITION = {
    "tenantId": TENANT,
    "name": "On order.paid",
    "triggerType": "order.paid",
    "steps": [{"type": "action", "name": "charge"}],
}


def charge(ctx: WorkflowContext) -> dict[str, object]:
    return {"thread": threading.current_thread().name, "order": ctx.trigger.resource_id}


@pytest.fixture
def engine(servers: EmbeddedServices, database: str) -> Engine:
    """Return an engine that knows an order, on a database without definitions."""
    made = make_pulse(database, servers.temporal_address)
    made.signal("order.paid")
    made.engine.register_action("charge", charge)
    return made.engine


def test_a_script_needs_no_event_loop(engine: Engine) -> None:
    with engine.blocking as pulse:
        pulse.create_workflow(DEFINITION)
        trigger = pulse.emit({**SIGNAL, "resourceId": "o-1"})
        run = pulse.wait_for_run(trigger.run_ids[0])
        lines = [entry.type for entry in pulse.get_run_timeline(run.id)]

    assert run.status == "completed"
    assert run.context["charge"] == {"thread": "pulse-handler", "order": "o-1"}
    assert lines == ["run_created", "step_started", "step_completed", "run_completed"]


def test_definitions_need_no_start(servers: EmbeddedServices, empty_database: str) -> None:
    pulse = make_pulse(empty_database, servers.temporal_address).engine.blocking

    applied = pulse.migrate()
    defined = pulse.create_workflow(DEFINITION)
    pulse.disable_workflow(defined.id)
    stored = pulse.get_workflow(defined.id, tenant_id=TENANT)
    pulse.stop()

    assert applied
    assert stored is not None
    assert not stored.is_enabled


def test_many_threads_share_it(engine: Engine) -> None:
    def emit(number: int) -> TriggerEnvelope:
        return engine.blocking.emit({**SIGNAL, "resourceId": str(number)})

    with engine.blocking as pulse, ThreadPoolExecutor(8) as threads:
        pulse.create_workflow(DEFINITION)
        triggers = list(threads.map(emit, range(40)))
        runs = list(threads.map(pulse.wait_for_run, [t.run_ids[0] for t in triggers]))

    assert {run.status for run in runs} == {"completed"}
    assert len({run.id for run in runs}) == 40


def test_threads_that_come_first_share_one_loop(engine: Engine) -> None:
    barrier = threading.Barrier(8)

    def ask(_: int) -> int:
        barrier.wait()
        return len(engine.blocking.list_workflows().items)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(8))) == {0}
    engine.blocking.stop()


def test_errors_come_through(engine: Engine) -> None:
    with engine.blocking as pulse:
        with pytest.raises(UnknownSignalError):
            pulse.emit({**SIGNAL, "type": "order.lost"})
        with pytest.raises(TimeoutError):
            pulse.wait_for_run("run_of_nobody", timeout=0.05)


def test_it_can_be_started_again(engine: Engine) -> None:
    for _ in range(2):
        with engine.blocking as pulse:
            if not pulse.list_workflows().items:
                pulse.create_workflow(DEFINITION)
            run = pulse.wait_for_run(pulse.emit(SIGNAL).run_ids[0])
        assert run.status == "completed"


async def test_it_refuses_to_block_an_event_loop(engine: Engine) -> None:
    with pytest.raises(ConfigurationError, match="Await the engine's own method"):
        engine.blocking.list_workflows()


async def test_an_async_server_lends_its_engine_to_its_threads(pulse: PulseTest) -> None:
    pulse.action("charge")
    await pulse.define("order.paid", "charge")
    blocking = pulse.engine.blocking

    trigger = await asyncio.to_thread(blocking.emit, SIGNAL)
    run = await asyncio.to_thread(blocking.wait_for_run, trigger.run_ids[0])

    assert run.status == "completed"
    assert "pulse-blocking" not in [thread.name for thread in threading.enumerate()]


async def test_one_engine_does_not_live_in_two_event_loops(engine: Engine) -> None:
    await asyncio.to_thread(engine.blocking.list_workflows)

    with pytest.raises(ConfigurationError, match="in use in another event loop"):
        await engine.list_workflows()

    await asyncio.to_thread(engine.blocking.stop)
    assert (await engine.list_workflows()).items == ()
    await engine.stop()


def test_an_engine_may_move_from_one_event_loop_to_the_next(engine: Engine) -> None:
    async def work() -> str:
        async with engine:
            if not (await engine.list_workflows()).items:
                await engine.create_workflow(DEFINITION)
            trigger = await engine.emit(SIGNAL)
            return (await engine.wait_for_run(trigger.run_ids[0])).status

    assert [asyncio.run(work()), asyncio.run(work())] == ["completed", "completed"]


SCRIPT = """
import sys
from pulse_temporal import create_engine

engine = create_engine(
    sys.argv[1], sys.argv[2], queue_prefix="forgetful", unregistered_signals="accept"
)
if "start" in sys.argv:
    engine.blocking.start()
print(engine.blocking.emit({"tenantId": "t", "source": "s", "type": "a.b"}).id)
"""


@pytest.mark.parametrize("start", ["start", "only emit"])
def test_a_script_that_forgets_to_stop_still_ends(
    servers: EmbeddedServices, database: str, start: str
) -> None:
    script = [sys.executable, "-c", SCRIPT, database, servers.temporal_address, start]

    ended = subprocess.run(script, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - this Python

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("trg_")


BUSY_SCRIPT = """
import sys
from pulse_temporal import create_engine

queue = {"queue_prefix": "busy", "unregistered_signals": "accept"}
engine = create_engine(sys.argv[1], sys.argv[2], **queue)
engine.register_action("act", lambda ctx: None)
step = {"type": "action", "uses": "act", "timeoutMs": 1_000}
steps = [step | {"name": f"act {n}"} for n in range(200)]
workflow = {"tenantId": "t", "name": "long", "triggerType": "a.b", "steps": steps}
engine.blocking.create_workflow(workflow)
engine.blocking.start()
signal = {"tenantId": "t", "source": "s", "type": "a.b"}
runs = [engine.blocking.emit(signal).run_ids[0] for _ in range(20)]
while engine.blocking.get_run(runs[0]).status == "pending":
    pass
"""


def test_a_script_that_forgets_to_stop_in_the_middle_of_its_runs_ends_in_good_order(
    servers: EmbeddedServices, database: str
) -> None:
    """Its worker is at work, and needs threads that Python ends before `atexit`."""
    script = [sys.executable, "-c", BUSY_SCRIPT, database, servers.temporal_address]

    ended = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - this Python

    assert (ended.returncode, ended.stderr) == (0, "")


FORKING_SCRIPT = """
import os, sys
from pulse_temporal import ConfigurationError, create_engine

engine = create_engine(sys.argv[1], sys.argv[2], queue_prefix="forking")
engine.blocking.start()
child = os.fork()
if child:
    print(engine.blocking.list_workflows().items, os.waitpid(child, 0)[1])
else:
    try:
        engine.blocking.list_workflows()
    except ConfigurationError as error:
        print(error, flush=True)
"""


def test_a_forked_copy_says_so_and_ends(servers: EmbeddedServices, database: str) -> None:
    script = [sys.executable, "-c", FORKING_SCRIPT, database, servers.temporal_address]

    ended = subprocess.run(script, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - this Python

    assert ended.returncode == 0
    copy, original = ended.stdout.splitlines()
    assert "after the fork" in copy
    assert original == "() 0"


async def test_a_handler_that_is_not_async_emits(pulse: PulseTest) -> None:
    def ship(ctx: WorkflowContext) -> dict[str, object]:
        shipped = ctx.emit_blocking({"source": SOURCE, "type": "order.shipped"})
        if ctx.step.attempt == 1:
            raise RuntimeError("after the emit")
        return {"shipped": shipped.id}

    pulse.engine.register_action("ship", ship)
    notify = pulse.action("notify")
    await pulse.define("order.shipped", "notify")
    retry = {"maxAttempts": 2, "backoffMs": 100}
    await pulse.define("order.paid", action("ship", retryPolicy=retry))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    (caused,) = [other for other in (await pulse.engine.list_runs()).items if other.id != run.id]
    await pulse.engine.wait_for_run(caused.id)
    assert notify.call_count == 1
    assert run.context == {"ship": {"shipped": caused.trigger_id}}
    assert notify.calls[0].trigger.caused_by_run_id == run.id


async def test_an_async_handler_must_await_its_emit(pulse: PulseTest) -> None:
    async def ship(ctx: WorkflowContext) -> None:
        ctx.emit_blocking({"source": SOURCE, "type": "order.paid"})

    pulse.engine.register_action("ship", ship)
    await pulse.define("order.paid", "ship")

    run = await pulse.emit_and_wait("order.paid")

    assert run.error_message is not None
    assert "Async handlers write: await ctx.emit(...)" in run.error_message
