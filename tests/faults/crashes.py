"""Plays each scenario in a process that dies at a failpoint, then to its end in another one."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
from temporalio.client import Client, WorkflowExecutionStatus

from pulse_temporal import contract
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.failpoints import FAILPOINTS
from tests.conftest import copy_template, dsn_of, run_sql
from tests.faults.crash_process import PLAY_SECONDS, Order
from tests.faults.crash_scenarios import EFFECTS, SCENARIOS, Scenario, Stage
from tests.harness import checked_invariants, eventually
from tests.processes import Programs

ROOT = Path(__file__).parents[2]
AT_ONCE = 8
PLAY = timedelta(seconds=2 * PLAY_SECONDS)

STATE = """
SELECT r.definition_snapshot->>'name' AS name, r.is_replay, r.status, r.generation,
    r.context::text AS context, replace(coalesce(r.error_message, ''), r.id, 'RUN') AS error,
    r.cancel_reason, jsonb_agg(jsonb_build_array(
        s.path, s.step_name, s.status, s.attempt, s.generation, s.result, s.error_message,
        s.skipped_by
    ) ORDER BY s.path)::text AS steps
FROM pulse_workflow_runs AS r JOIN pulse_workflow_step_runs AS s ON s.run_id = r.id
GROUP BY r.id ORDER BY 1, 2, r.id
"""
PRESENT = "SELECT id, generation, status FROM pulse_workflow_runs"
COUNTS = """
SELECT 'trigger ' || type AS name, count(*) FROM pulse_triggers GROUP BY 1
UNION ALL SELECT 'effect ' || name, count(*) FROM effects GROUP BY 1 ORDER BY 1
"""
COMPLETED = """
SELECT run_id, path FROM pulse_workflow_step_runs WHERE status = 'completed'
"""
RUNNING = """
SELECT run_id, path, generation, attempt FROM pulse_workflow_step_runs
WHERE status = 'running' AND step_type IN ('action', 'condition')
"""
LOST = """
SELECT s.step_name FROM pulse_step_attempts AS a
JOIN pulse_workflow_step_runs AS s ON s.id = a.step_run_id WHERE a.status = 'lost'
"""
OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a handler."""

    run_id: str
    path: str
    generation: int
    attempt: int
    step: str


@dataclass(frozen=True, slots=True)
class State:
    """What a scenario has left behind, without ids and moments.

    Attributes:
        runs: What the mirror says of each.
        closed: How each has ended, and its workflow in Temporal.
        counts: Of triggers and of effects, by name.
    """

    runs: tuple[tuple[object, ...], ...]
    closed: tuple[tuple[str, WorkflowExecutionStatus | None], ...]
    counts: tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a scenario ended that nothing disturbed.

    Attributes:
        arrivals: How often each failpoint was reached.
        calls: How often the handler of each step was called, in all runs.
    """

    state: State
    arrivals: dict[str, int]
    calls: Counter[str]


@dataclass(frozen=True, slots=True)
class Recovery:
    """How a scenario ended whose first process was killed.

    Attributes:
        exit_status: Of the first process, negative after a signal.
        called_by_dead: What the first process had called.
        recorded: Steps that were completed when it was dead.
        interrupted: Steps whose handler it had called without a record.
        lost: How many attempts of each step are on record as lost.
        calls: All calls.
    """

    exit_status: int
    state: State
    called_by_dead: tuple[Call, ...]
    recorded: frozenset[tuple[str, str]]
    interrupted: tuple[Call, ...]
    lost: Counter[str]
    calls: tuple[Call, ...]


class Forge:
    """A program that makes processes: see ``crash_process.py``."""

    def __init__(self, programs: Programs) -> None:
        self._program = programs.start("-m", "tests.faults.crash_process", cwd=ROOT, leash=True)
        self._ids = itertools.count(1)

    async def play(self, scenario: str, stage: Stage, *, failpoints: str, folder: Path) -> int:
        """Let a process play a scenario and return its exit status."""
        order = Order(
            id=next(self._ids),
            scenario=scenario,
            failpoints=failpoints,
            dsn=stage.dsn,
            temporal_address=stage.temporal_address,
            queue=stage.queue,
            folder=str(folder),
        )
        orders = self._program.process.stdin
        assert orders is not None
        orders.write(order.line())
        orders.flush()
        await eventually(lambda: self._has_ended(order), within=PLAY)
        return self._ended()[order.id]

    async def close(self) -> None:
        """End the program and its processes."""
        assert self._program.process.stdin is not None
        self._program.process.stdin.close()
        await self._program.ended()

    async def _has_ended(self, order: Order) -> bool:
        assert self._program.is_alive, "the program that makes processes has ended"
        return order.id in self._ended()

    def _ended(self) -> dict[int, int]:
        *lines, _ = self._program.stdout.split("\n")
        return {ended["id"]: ended["status"] for ended in map(json.loads, lines)}


class Theatre:
    """Plays scenarios, a few at the same time, each on a database and a task queue of its own."""

    def __init__(
        self, services: EmbeddedServices, template: str, folder: Path, forge: Forge
    ) -> None:
        self.services = services
        self.template = template
        self.folder = folder
        self.forge = forge
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._copying = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._recoveries: list[asyncio.Future[Recovery]] = []
        self._undisturbed: dict[str, asyncio.Future[Ending]] = {}

    def recovery(self, name: str, point: str) -> asyncio.Future[Recovery]:
        """Play as ``_recover`` says, as soon as there is room."""
        task = asyncio.ensure_future(self._recover(name, point))
        self._recoveries.append(task)
        return task

    async def close(self) -> None:
        """Give up what has not been played."""
        plays = [*self._recoveries, *self._undisturbed.values()]
        for play in plays:
            play.cancel()
        if plays:
            await asyncio.wait(plays)

    def undisturbed(self, name: str) -> asyncio.Future[Ending]:
        """Play a scenario to its end, once."""
        if name not in self._undisturbed:
            self._undisturbed[name] = asyncio.ensure_future(self._play_undisturbed(name))
        return self._undisturbed[name]

    async def _recover(self, name: str, point: str) -> Recovery:
        """Play a scenario until a failpoint kills its process, then to its end in this one."""
        failpoint, _, nth = point.partition("@")
        async with self._slots, self._stage(name) as (stage, folder):
            status = await self.forge.play(
                name, stage, failpoints=f"{failpoint}=kill@{nth or 1}", folder=folder
            )
            calls = _calls(stage)
            connection = await asyncpg.connect(stage.dsn)
            try:
                await _is_alone(connection)
                recorded = await connection.fetch(COMPLETED)
                running = {tuple(row) for row in await connection.fetch(RUNNING)}
                await SCENARIOS[name].play(stage)
                return Recovery(
                    exit_status=status,
                    state=await _state(connection, stage),
                    called_by_dead=calls,
                    recorded=frozenset((row["run_id"], row["path"]) for row in recorded),
                    interrupted=tuple(
                        call
                        for call in calls
                        if (call.run_id, call.path, call.generation, call.attempt) in running
                    ),
                    lost=Counter(row["step_name"] for row in await connection.fetch(LOST)),
                    calls=_calls(stage),
                )
            finally:
                await connection.close()

    async def _play_undisturbed(self, name: str) -> Ending:
        everything = ",".join(f"{failpoint}=sleep:0" for failpoint in FAILPOINTS)
        async with self._slots, self._stage(name) as (stage, folder):
            status = await self.forge.play(name, stage, failpoints=everything, folder=folder)
            assert status == 0
            connection = await asyncpg.connect(stage.dsn)
            try:
                state = await _state(connection, stage)
            finally:
                await connection.close()
            arrivals = json.loads((folder / "arrivals.json").read_text(encoding="utf-8"))
            return Ending(state, arrivals, Counter(call.step for call in _calls(stage)))

    @asynccontextmanager
    async def _stage(self, name: str) -> AsyncGenerator[tuple[Stage, Path]]:
        """Yield a database with the scenario's definitions; its invariants must hold."""
        place = f"crash_{next(self._numbers)}"
        folder = self.folder / place
        folder.mkdir()
        async with self._copying:
            await copy_template(self.services.dsn, self.template, name=place)
        dsn = dsn_of(self.services.dsn, place)
        queue = f"{self.folder.name}-{place}"
        stage = Stage(dsn, self.services.temporal_address, queue, folder / "calls")
        try:
            await run_sql(dsn, EFFECTS)
            await _define(SCENARIOS[name], stage)
            async with checked_invariants(dsn):
                yield stage, folder
        finally:
            await run_sql(self.services.dsn, f'DROP DATABASE "{place}" WITH (FORCE)')


async def _define(scenario: Scenario, stage: Stage) -> None:
    engine = stage.engine()
    try:
        await scenario.define(engine)
    finally:
        await engine.stop()


async def _is_alone(connection: asyncpg.Connection) -> None:
    """Wait until the server has ended what a dead process had asked of it."""

    async def claim() -> bool:
        return await connection.fetchval(OTHERS) == 0

    await eventually(claim, within=timedelta(seconds=30))


async def _state(connection: asyncpg.Connection, stage: Stage) -> State:
    client = await Client.connect(stage.temporal_address)
    closed: list[tuple[str, WorkflowExecutionStatus | None]] = []
    for run_id, generation, status in await connection.fetch(PRESENT):
        handle = client.get_workflow_handle(contract.workflow_id(run_id, generation))
        closed.append((status, (await handle.describe()).status))
    runs = await connection.fetch(STATE)
    counts = await connection.fetch(COUNTS)
    return State(
        tuple(tuple(row) for row in runs),
        tuple(sorted(closed)),
        tuple(tuple(row) for row in counts),
    )


def _calls(stage: Stage) -> tuple[Call, ...]:
    if not stage.calls.exists():
        return ()
    calls: list[Call] = []
    for line in stage.calls.read_text(encoding="utf-8").splitlines():
        run_id, path, generation, attempt, step = line.split(maxsplit=4)
        calls.append(Call(run_id, path, int(generation), int(attempt), step))
    return tuple(calls)
