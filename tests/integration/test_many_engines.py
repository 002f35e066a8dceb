"""Engines that share a database and a queue share their work, and help each other out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal import DefinitionError, WorkflowContext, WorkflowStepRun
from pulse_temporal.config import EngineSettings
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import action
from tests.harness import PulseTest, eventually, make_pulse

MakeColleague = Callable[..., PulseTest]


@pytest.fixture
async def colleague(idle_pulse: PulseTest) -> AsyncGenerator[MakeColleague]:
    """Make further engines, not started, on the database and queue of ``idle_pulse``."""
    async with AsyncExitStack() as stack:

        def make(settings: EngineSettings | None = None) -> PulseTest:
            made = make_pulse(
                idle_pulse.dsn, idle_pulse.temporal_address, like=idle_pulse, **(settings or {})
            )
            stack.push_async_callback(made.engine.stop)
            return made

        yield make


async def blocked(pulse: PulseTest, run_id: str) -> WorkflowStepRun:
    """Wait until a run's first step says that nobody can do it."""

    async def look() -> WorkflowStepRun | None:
        step = (await pulse.steps(run_id))["0"]
        return step if step.blocked_reason else None

    return await eventually(look)


async def test_a_process_that_only_emits_starts_runs_for_the_others(
    idle_pulse: PulseTest, colleague: MakeColleague
) -> None:
    emitter, worker = idle_pulse, colleague()
    own = emitter.action("pay")
    theirs = worker.action("pay")
    await emitter.define("order.paid", "pay")
    await emitter.engine.start(worker=False)
    await worker.engine.start()

    run = await emitter.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert (own.call_count, theirs.call_count) == (0, 1)


async def test_a_run_started_by_an_emit_only_process_waits_for_a_worker(
    idle_pulse: PulseTest, colleague: MakeColleague, connection: asyncpg.Connection
) -> None:
    emitter, worker = idle_pulse, colleague()
    await emitter.engine.start(worker=False)
    await emitter.define("order.paid", "pay")
    trigger = await emitter.emit("order.paid")

    async def is_started() -> bool:
        return await connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0

    await eventually(is_started)
    await emitter.engine.stop()
    worker.action("pay")
    await worker.engine.start()
    run = await worker.engine.wait_for_run(trigger.run_ids[0])

    assert run.status == "completed"


async def test_a_signal_of_a_process_without_engine_is_relayed_by_a_worker(
    idle_pulse: PulseTest, colleague: MakeColleague
) -> None:
    """An engine that was never started may emit; somebody's relay starts the run."""
    worker = colleague()
    worker.action("pay")
    await worker.engine.start()
    await idle_pulse.define("order.paid", "pay")

    run = await idle_pulse.emit_and_wait("order.paid")

    assert run.status == "completed"


async def test_two_engines_work_at_the_same_time(
    idle_pulse: PulseTest, colleague: MakeColleague
) -> None:
    """Each does one thing at a time, and two runs are at work together."""
    both_there = asyncio.Barrier(2)
    workers = [colleague({"concurrency": 1}), colleague({"concurrency": 1})]
    done_by: list[int] = []
    for number, worker in enumerate(workers):

        def meet(number: int) -> Callable[[WorkflowContext], Awaitable[None]]:
            async def handler(_: WorkflowContext) -> None:
                await both_there.wait()
                done_by.append(number)

            return handler

        worker.engine.register_action("pay", meet(number))
        await worker.engine.start()
    await idle_pulse.define("order.paid", "pay")

    triggers = [await idle_pulse.emit("order.paid") for _ in range(2)]
    for trigger in triggers:
        run = await idle_pulse.engine.wait_for_run(trigger.run_ids[0])
        assert run.status == "completed"

    assert sorted(done_by) == [0, 1]


async def test_no_step_is_done_twice(idle_pulse: PulseTest, colleague: MakeColleague) -> None:
    calls: Counter[str] = Counter()

    async def pay(ctx: WorkflowContext) -> None:
        calls[ctx.idempotency_key] += 1

    workers = [colleague(), colleague()]
    for worker in workers:
        worker.engine.register_action("pay", pay)
        await worker.engine.start()
    await idle_pulse.define("order.paid", "pay", action("again", uses="pay", timeoutMs=1_000))

    triggers = await asyncio.gather(*(idle_pulse.emit("order.paid") for _ in range(40)))
    run_ids = [trigger.run_ids[0] for trigger in triggers]
    runs = await asyncio.gather(
        *(idle_pulse.engine.wait_for_run(run_id, timeout=60) for run_id in run_ids)
    )

    assert {run.status for run in runs} == {"completed"}
    assert calls == {f"{run_id}:{path}": 1 for run_id in run_ids for path in ("0", "1")}


async def test_runs_go_on_elsewhere_when_an_engine_stops(
    idle_pulse: PulseTest, colleague: MakeColleague
) -> None:
    first, second = colleague(), colleague()
    gate = first.gate("one")
    first.action("two")
    await first.engine.start()
    await idle_pulse.define("order.paid", "one", "two")
    trigger = await idle_pulse.emit("order.paid")
    await gate.reached()

    second.action("one")
    two = second.action("two")
    stopping = asyncio.ensure_future(first.engine.stop())
    gate.open()
    await stopping
    await second.engine.start()
    run = await idle_pulse.engine.wait_for_run(trigger.run_ids[0])

    assert run.status == "completed"
    assert two.call_count == 1


async def test_handlers_of_live_workers_are_known_to_everybody(
    idle_pulse: PulseTest, colleague: MakeColleague
) -> None:
    worker = colleague()
    worker.action("send_alert")
    await worker.engine.start()

    stored = await idle_pulse.define("order.paid", "send_alert")
    with pytest.raises(DefinitionError, match='Did you mean "send_alert"'):
        await idle_pulse.define("order.paid", "send_alret")

    assert stored.steps[0].name == "send_alert"


async def test_handlers_of_a_worker_that_has_stopped_are_forgotten(
    idle_pulse: PulseTest, colleague: MakeColleague
) -> None:
    worker = colleague()
    worker.action("send_alert")
    idle_pulse.action("pay")
    await worker.engine.start()
    await worker.engine.stop()

    with pytest.raises(DefinitionError, match='no action named "send_alert"'):
        await idle_pulse.define("order.paid", "send_alert")


async def test_a_step_whose_handler_nobody_knows_says_so_and_waits(
    idle_pulse: PulseTest, colleague: MakeColleague
) -> None:
    await idle_pulse.define("order.paid", "pay")
    ignorant = colleague()
    ignorant.action("other")
    await ignorant.engine.start()

    trigger = await idle_pulse.emit("order.paid")
    step = await blocked(idle_pulse, trigger.run_ids[0])

    assert step.blocked_reason is not None
    assert "'pay'" in step.blocked_reason
    assert (step.status, step.attempt) == ("pending", 0)
    run = await idle_pulse.engine.get_run(trigger.run_ids[0])
    assert run is not None
    assert run.status == "running"
    await idle_pulse.engine.cancel_run(run.id)


async def test_a_blocked_step_goes_on_when_a_worker_comes_that_knows_its_handler(
    idle_pulse: PulseTest, colleague: MakeColleague
) -> None:
    await idle_pulse.define("order.paid", "pay")
    ignorant, knowing = colleague(), colleague()
    ignorant.action("other")
    await ignorant.engine.start()
    trigger = await idle_pulse.emit("order.paid")
    await blocked(idle_pulse, trigger.run_ids[0])

    pay = knowing.action("pay")
    await knowing.engine.start()
    run = await idle_pulse.engine.wait_for_run(trigger.run_ids[0])

    step = (await idle_pulse.steps(run.id))["0"]
    assert run.status == "completed"
    assert (pay.call_count, step.blocked_reason, step.attempt) == (1, None, 1)


@pytest.mark.parametrize("kind", ["action", "condition"])
async def test_a_step_that_stays_blocked_fails_in_the_end(
    idle_pulse: PulseTest, colleague: MakeColleague, kind: str
) -> None:
    await idle_pulse.define("order.paid", {"type": kind, "name": "pay"})
    ignorant = colleague({"blocked_step_timeout": timedelta(milliseconds=500)})
    ignorant.action("other")
    await ignorant.engine.start()

    run = await idle_pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert f"the {kind} 'pay'" in (run.error_message or "")


async def test_a_blocked_run_can_be_canceled(
    idle_pulse: PulseTest, colleague: MakeColleague
) -> None:
    await idle_pulse.define("order.paid", "pay")
    ignorant = colleague()
    ignorant.action("other")
    await ignorant.engine.start()
    trigger = await idle_pulse.emit("order.paid")
    await blocked(idle_pulse, trigger.run_ids[0])

    run = await idle_pulse.engine.cancel_run(trigger.run_ids[0])

    assert run.status == "canceled"
    assert await idle_pulse.statuses(run.id) == {"0": "skipped"}


async def test_engines_with_other_queues_leave_each_others_runs_alone(
    servers: EmbeddedServices, database: str
) -> None:
    """Two applications share the tables; each one's handlers get its own runs, retried or not."""
    first = make_pulse(database, servers.temporal_address)
    second = make_pulse(database, servers.temporal_address)
    mine, other = first.action("work", fails=1), second.action("work")
    await first.define("order.paid", "work")
    trigger = await first.emit("order.paid")  # not started: the start waits in the outbox
    async with second.engine:
        async with first.engine:
            run = await first.engine.wait_for_run(trigger.run_ids[0])
            assert run.status == "failed"
        await second.engine.retry_run(run.id)
        async with first.engine:
            assert (await first.engine.wait_for_run(run.id)).status == "completed"
    assert (mine.call_count, other.call_count) == (2, 0)


async def test_a_stopping_engine_keeps_no_lease(
    servers: EmbeddedServices, database: str, connection: asyncpg.Connection
) -> None:
    """What it has not started yet is free for others at once, not when its leases run out."""
    pulse = make_pulse(database, servers.temporal_address)
    pulse.action("work")
    await pulse.define("order.paid", "work")
    await pulse.engine.start(worker=False)
    await asyncio.gather(*(pulse.emit("order.paid") for _ in range(50)))
    await pulse.engine.stop()
    held = "SELECT count(*) FROM pulse_outbox WHERE leased_until > now()"
    assert await connection.fetchval(held) == 0


async def test_a_lost_step_that_no_worker_knows_fails_in_the_end(
    idle_pulse: PulseTest, colleague: MakeColleague, connection: asyncpg.Connection
) -> None:
    """Its worker died in the middle, and the others have never heard of its handler."""
    await idle_pulse.define("order.paid", "pay")
    ignorant = colleague({"blocked_step_timeout": timedelta(milliseconds=500)})
    ignorant.action("other")
    trigger = await idle_pulse.emit("order.paid")
    await connection.execute(
        """
        WITH lost AS (
            UPDATE pulse_workflow_step_runs SET status = 'running', claim = 1, attempt = 1
            RETURNING *
        )
        INSERT INTO pulse_step_attempts (
            step_run_id, claim, run_id, tenant_id, generation, epoch, attempt, worker_id,
            started_at, deadline_at
        )
        SELECT id, 1, run_id, tenant_id, 1, 1, 1, 'wrk_dead', now(), now() FROM lost
        """
    )
    await ignorant.engine.start()
    run = await idle_pulse.engine.wait_for_run(trigger.run_ids[0])
    assert run.status == "failed"
    assert "'pay'" in str(run.error_message)
