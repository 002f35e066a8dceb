"""What a process does before, or after, it dies at a failpoint: small applications.

Each is a set of definitions and a script. The script is what a careful application does: it may
be run again from its start by another process, and then finishes what the first one began.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
from temporalio.client import Client, ScheduleBackfill
from temporalio.service import RPCError, RPCStatusCode

from pulse_temporal import Engine, WorkflowContext, WorkflowRun, contract, create_engine
from pulse_temporal.model.runs import RunFilter
from pulse_temporal.testing import StepLike, action, condition, delay, parallel
from tests.harness import SOURCE, TENANT, eventually

SIGNAL = "crash.met"
CHAINED = "crash.chained"
SHORT = 1_500
"""A declared timeout that makes a step a local activity."""
LONG_MS = 600_000
LEAP_DAY = datetime(2024, 2, 29, tzinfo=UTC)
FAR = "0 0 29 2 *"
"""Never fires while a test runs, but did on ``LEAP_DAY``."""
PATIENCE = timedelta(seconds=60)
GLANCE_SECONDS = 0.1
AGAIN = {"maxAttempts": 3, "backoffMs": 100}
EFFECTS = "CREATE TABLE effects (name text NOT NULL)"


class Handlers:
    """The handlers of every scenario; each call leaves a line in a file."""

    def __init__(self, calls: Path) -> None:
        self.calls = calls

    def note(self, ctx: WorkflowContext) -> dict[str, object]:
        """Write the call down; give the result of the step."""
        step = ctx.step
        line = f"{ctx.run.id} {step.path} {ctx.run.generation} {step.attempt} {step.step_name}\n"
        with self.calls.open("a", encoding="utf-8") as calls:
            calls.write(line)
        return {"from": step.step_name}

    async def work(self, ctx: WorkflowContext) -> dict[str, object]:
        """Do nothing more."""
        return self.note(ctx)

    async def flaky(self, ctx: WorkflowContext) -> dict[str, object]:
        """Fail in the first attempt."""
        result = self.note(ctx)
        if ctx.step.attempt == 1:
            raise RuntimeError("the first attempt fails")
        return result

    async def broken(self, ctx: WorkflowContext) -> dict[str, object]:
        """Fail until the run is retried."""
        result = self.note(ctx)
        if ctx.run.generation == 1:
            raise RuntimeError("broken until the run is retried")
        return result

    async def write(self, ctx: WorkflowContext) -> dict[str, object]:
        """Have an effect in the database, and emit, both in the step's transaction."""
        result = self.note(ctx)
        await ctx.connection.execute("INSERT INTO effects VALUES ($1)", ctx.step.step_name)
        await ctx.emit({"source": SOURCE, "type": CHAINED})
        return result

    async def tell(self, ctx: WorkflowContext) -> dict[str, object]:
        """Emit."""
        result = self.note(ctx)
        await ctx.emit({"source": SOURCE, "type": CHAINED})
        return result

    async def yes(self, ctx: WorkflowContext) -> bool:
        """Be a condition that holds."""
        self.note(ctx)
        return True

    async def no(self, ctx: WorkflowContext) -> bool:
        """Be a condition that does not hold."""
        self.note(ctx)
        return False

    def register(self, engine: Engine) -> None:
        """Let an engine know all of them, and the signals."""
        for type_ in (SIGNAL, CHAINED):
            engine.register_trigger(type_, source=SOURCE)
        for handler in (self.work, self.flaky, self.broken, self.tell):
            engine.register_action(handler.__name__, handler)
        engine.register_action("safe_work", self.work, replay_safe=True)
        engine.register_action("write", self.write, transactional=True)
        for question in (self.yes, self.no):
            engine.register_condition(question.__name__, question)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a scenario plays.

    Attributes:
        dsn: A database with Pulse's tables and one named ``effects``.
        temporal_address: ``host:port``.
        queue: Task queue.
        calls: File with the calls of handlers.
    """

    dsn: str
    temporal_address: str
    queue: str
    calls: Path

    def engine(self) -> Engine:
        """Make an engine that notices soon when another one has died.

        It does so without the reconciler, which would hide what the way of a signal loses.
        """
        engine = create_engine(
            self.dsn,
            self.temporal_address,
            queue_prefix=self.queue,
            heartbeat_timeout=timedelta(seconds=2),
            task_timeout=timedelta(seconds=2),
            shutdown_grace=timedelta(seconds=1),
            reconcile_interval=timedelta(hours=1),
        )
        Handlers(self.calls).register(engine)
        return engine


class Play:
    """A script's hands: what it does may have been done before.

    Attributes:
        engine: Works, emits and asks.
    """

    def __init__(self, engine: Engine, stage: Stage) -> None:
        self.engine = engine
        self.stage = stage

    async def emit(self) -> str:
        """Emit the signal; give the id of its trigger."""
        return (await self.engine.emit(_signal("own"))).id

    async def runs(self) -> list[WorkflowRun]:
        """Return all runs, oldest first."""
        page = await self.engine.list_runs(RunFilter(tenant_id=TENANT), limit=100)
        return sorted(page.items, key=lambda run: run.id)

    async def first_run(self, *statuses: str) -> WorkflowRun:
        """Wait until the first run has one of these statuses."""

        async def look() -> WorkflowRun | None:
            runs = await self.runs()
            return runs[0] if runs and runs[0].status in statuses else None

        return await eventually(look, within=PATIENCE, pause_seconds=GLANCE_SECONDS)

    async def settle(self) -> None:
        """Wait until nothing is left to do: runs, commands, workflows."""
        client = await Client.connect(self.stage.temporal_address)
        connection = await asyncpg.connect(self.stage.dsn)

        async def is_settled() -> bool:
            if await connection.fetchval("SELECT count(*) FROM pulse_outbox"):
                return False
            for run in await self.runs():
                if run.status not in ("completed", "failed", "canceled"):
                    return False
                for generation in range(1, run.generation + 1):
                    workflow_id = contract.workflow_id(run.id, generation)
                    handle = client.get_workflow_handle(workflow_id)
                    if (await handle.describe()).close_time is None:
                        return False
            return True

        try:
            await eventually(is_settled, within=PATIENCE, pause_seconds=GLANCE_SECONDS)
        finally:
            await connection.close()


Script = Callable[[Play], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """An application, and where on its way it dies.

    Attributes:
        definitions: Steps of each definition by the signal type that starts it.
        dies_at: Failpoints on its way; ``@N`` behind one is the Nth time. Those that leave the
            same state behind in every scenario are taken in one.
        cron: Of the first definition.
    """

    script: Script
    definitions: Mapping[str, Sequence[StepLike]]
    dies_at: frozenset[str]
    cron: str | None = None

    async def define(self, engine: Engine) -> None:
        """Store the definitions."""
        for type_, steps in self.definitions.items():
            definition = {"tenantId": TENANT, "name": type_, "triggerType": type_, "steps": steps}
            cron = {"cronExpression": self.cron} if self.cron and type_ == SIGNAL else {}
            await engine.create_workflow(definition | cron)

    async def play(self, stage: Stage) -> None:
        """Do all of it, or what is left of it."""
        async with stage.engine() as engine:
            play = Play(engine, stage)
            await self.script(play)
            await play.settle()


async def emit_alone(play: Play) -> None:
    """Emit in a transaction of the engine."""
    await play.emit()


async def emit_joined(play: Play) -> None:
    """Store an order and its signal together: on a connection of one's own, then on a lent one."""
    order = """INSERT INTO effects SELECT $1::text
        WHERE NOT EXISTS (SELECT FROM effects WHERE name = $1)"""
    connection = await asyncpg.connect(play.stage.dsn)
    try:
        async with connection.transaction():
            await connection.execute(order, "order 1")
            await play.engine.emit(_signal("joined 1"), connection=connection)
    finally:
        await connection.close()
    async with play.engine.transaction() as lent:
        await lent.execute(order, "order 2")
        await play.engine.emit(_signal("joined 2"), connection=lent)


async def retry_when_failed(play: Play) -> None:
    """Retry the run once, after it has failed."""
    await play.emit()
    run = await play.first_run("failed", "completed")
    if run.status == "failed" and run.generation == 1:
        await play.engine.retry_run(run.id)
    await play.first_run("completed")


async def retry_in_bulk(play: Play) -> None:
    """Retry whatever has failed until now, once."""
    await play.emit()
    await play.first_run("failed", "completed")
    await play.engine.start_bulk("retry", filter={}, tenant_id=TENANT, idempotency_key="once")
    await play.first_run("completed")


async def cancel_when_waiting(play: Play) -> None:
    """Cancel the run once it waits."""
    await play.emit()
    run = await play.first_run("waiting", "canceled")
    if run.status == "waiting":
        await play.engine.cancel_run(run.id, "enough")


async def cancel_in_temporal(play: Play) -> None:
    """Cancel the run's workflow once the run waits."""
    await play.emit()
    run = await play.first_run("waiting", "canceled")
    if run.status == "waiting":
        client = await Client.connect(play.stage.temporal_address)
        await client.get_workflow_handle(run.temporal_workflow_id).cancel()
    await play.first_run("canceled")


async def replay_when_completed(play: Play) -> None:
    """Replay the signal once, after its run has completed."""
    trigger_id = await play.emit()
    await play.first_run("completed")
    if len((await play.engine.get_runs_by_trigger(trigger_id)).items) == 1:
        await play.engine.replay(trigger_id)


async def tick_once(play: Play) -> None:
    """Let the definition's schedule tick once, as Temporal has done on a day of old."""
    client = await Client.connect(play.stage.temporal_address)
    (definition,) = (await play.engine.list_workflows(tenant_id=TENANT)).items
    schedule = client.get_schedule_handle(
        contract.schedule_id(play.engine.options.queue_prefix, definition.id)
    )

    async def exists() -> bool:
        return await _is_found(schedule.describe())

    await eventually(exists, within=PATIENCE, pause_seconds=GLANCE_SECONDS)
    tick = client.get_workflow_handle(f"{schedule.id}-{LEAP_DAY:%Y-%m-%dT%H:%M:%SZ}")
    if not await _is_found(tick.describe()):
        await schedule.backfill(ScheduleBackfill(LEAP_DAY, LEAP_DAY))

    async def has_ticked() -> bool:
        return await _is_found(tick.describe())

    await eventually(has_ticked, within=PATIENCE, pause_seconds=GLANCE_SECONDS)
    await tick.result()


def points(*texts: str) -> frozenset[str]:
    """Read failpoints that are divided by blanks."""
    return frozenset(point for text in texts for point in text.split())


def _work(name: str, **fields: object) -> dict[str, object]:
    return action(name, uses="work", **fields)


def _signal(key: str) -> dict[str, object]:
    return {"tenantId": TENANT, "source": SOURCE, "type": SIGNAL, "idempotencyKey": key}


async def _is_found(asked: Awaitable[object]) -> bool:
    try:
        await asked
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


BREAKS = action("breaks", uses="broken", timeoutMs=SHORT)
START = "emit.after_commit dispatch.before_start dispatch.after_start"
RELAY = "relay.after_lease dispatch.before_done"
END = "finish_run.before_write finish_run.after_write"
RUN = f"begin.before_write begin.after_write {END}"
CALL = "step.before_claim step.after_claim step.after_handler step.after_record"
CALL_AGAIN = "step.after_claim@2 step.after_handler@2 step.after_record@2"

SCENARIOS: Mapping[str, Scenario] = {
    "list": Scenario(
        emit_alone,
        {SIGNAL: [_work("first"), _work("second", timeoutMs=SHORT), _work("third")]},
        points(START, RUN, CALL, CALL_AGAIN),
    ),
    "joined": Scenario(
        emit_joined,
        {SIGNAL: [_work("first")]},
        points(START, RELAY, "emit.before_commit emit.before_commit@2"),
    ),
    "questions": Scenario(
        emit_alone,
        {
            SIGNAL: [
                condition("is it", uses="yes"),
                condition("shall it", uses="no", timeoutMs=SHORT, onFalse="skip"),
                _work("passed over"),
                _work("reached"),
                condition("go on", uses="no"),
                delay("never begun", LONG_MS),
            ]
        },
        points(CALL, CALL_AGAIN, "skip.after_write skip.after_write@2 finish_run.after_write"),
    ),
    "delay": Scenario(
        emit_alone,
        {SIGNAL: [delay("first pause", 200), _work("between"), delay("second pause", 200)]},
        points(
            "begin.after_write start_delay.after_write end_delay.after_write",
            "start_delay.after_write@2 end_delay.after_write@2 finish_run.before_write",
        ),
    ),
    "branches": Scenario(
        emit_alone,
        {
            SIGNAL: [
                parallel(
                    "both",
                    [_work("left", timeoutMs=SHORT), delay("left pause", 200)],
                    [parallel("inner", [_work("a")], [_work("b")]), _work("right")],
                ),
                _work("after"),
            ]
        },
        points(
            RUN,
            CALL,
            "start_parallel.after_write finish_branch.after_write finish_parallel.after_write",
            "start_parallel.after_write@2 finish_branch.after_write@2",
            "finish_parallel.after_write@2 begin.after_write@2 begin.after_write@4",
            "start_delay.after_write end_delay.after_write step.after_handler@3",
        ),
    ),
    "attempts": Scenario(
        emit_alone,
        {
            SIGNAL: [
                action("queued", uses="flaky", retryPolicy=AGAIN),
                action("short", uses="flaky", retryPolicy=AGAIN, timeoutMs=SHORT),
            ]
        },
        points(
            CALL,
            CALL_AGAIN,
            "failure.after_record failure.after_record@2",
            "step.after_handler@3 step.after_handler@4",
        ),
    ),
    "transaction": Scenario(
        emit_alone,
        {SIGNAL: [action("pay", uses="write"), _work("after")], CHAINED: [_work("caused")]},
        points(
            RELAY,
            "emit.before_commit transaction.before_commit transaction.after_commit",
            "step.before_claim step.after_claim step.after_handler",
        ),
    ),
    "chain": Scenario(
        emit_alone,
        {SIGNAL: [action("announce", uses="tell")], CHAINED: [_work("caused")]},
        points(CALL, "emit.after_commit@2 dispatch.before_start@2 dispatch.after_start@2"),
    ),
    "retry": Scenario(
        retry_when_failed,
        {
            SIGNAL: [
                _work("kept"),
                parallel("both", [_work("kept too")], [action("charge", uses="broken")]),
                _work("after"),
            ]
        },
        points(
            RELAY,
            "audit.before_write retry.before_commit retry.after_commit failure.after_record",
            "finish_parallel.after_write finish_run.before_write finish_run.after_write",
            "begin.before_write@4 begin.after_write@4 start_parallel.after_write@2",
            "finish_parallel.after_write@2 dispatch.before_start@2 dispatch.after_start@2",
            "step.after_handler@4 step.after_record@4 finish_run.after_write@2",
        ),
    ),
    "bulk": Scenario(
        retry_in_bulk,
        {SIGNAL: [_work("kept"), BREAKS]},
        points("audit.before_write@2 bulk.before_collected bulk.before_commit bulk.after_commit"),
    ),
    "failure": Scenario(
        emit_alone,
        {SIGNAL: [_work("before"), BREAKS, _work("never")]},
        points("step.after_handler@2 failure.after_record", END),
    ),
    "failure at once": Scenario(
        emit_alone, {SIGNAL: [BREAKS]}, points("begin.after_write failure.after_record", END)
    ),
    "failure in a branch": Scenario(
        emit_alone,
        {SIGNAL: [_work("before"), parallel("both", [BREAKS], [_work("kept")])]},
        points(
            "failure.after_record finish_parallel.after_write",
            "finish_run.before_write@2 finish_run.after_write@2",
        ),
    ),
    "cancel": Scenario(
        cancel_when_waiting,
        {SIGNAL: [_work("before"), delay("long", LONG_MS), _work("never")]},
        points(
            RELAY,
            "start_delay.after_write audit.before_write cancel.before_commit cancel.after_commit",
        ),
    ),
    "cancel in temporal": Scenario(
        cancel_in_temporal,
        {SIGNAL: [_work("before"), delay("long", LONG_MS), _work("never")]},
        points(RELAY, "start_delay.after_write cancel.before_commit cancel.after_commit"),
    ),
    "replay": Scenario(
        replay_when_completed,
        {SIGNAL: [action("again", uses="safe_work"), _work("once"), condition("q", uses="yes")]},
        points(
            "emit.after_commit@2 dispatch.before_start@2 dispatch.after_start@2",
            "step.after_pass_over begin.after_write@2 finish_run.after_write@2",
            "step.after_claim@4 step.after_handler@4 step.after_record@4",
        ),
    ),
    "cron": Scenario(
        tick_once,
        {SIGNAL: [_work("first")]},
        points(
            START,
            RELAY,
            "schedule.before_sync schedule.after_sync cron.before_emit cron.after_emit",
        ),
        cron=FAR,
    ),
}
