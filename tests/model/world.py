"""What the state machine acts on: two engines of one queue, gates, and an operator."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from temporalio.client import Client, WorkflowExecutionStatus

from pulse_temporal import RunFilter, TriggerEnvelope, WorkflowContext, WorkflowRun
from pulse_temporal.store.database import Database
from pulse_temporal.store.invariants import violations
from pulse_temporal.testing import action, condition, delay, parallel
from tests.harness import PATIENCE, SOURCE, PulseTest, eventually, make_pulse
from tests.temporal_operator import Operator

Answer = TypeVar("Answer")

SIGNAL = "machine.met"
WAIT_SECONDS = 60.0
LONG = timedelta(days=1)
SHORT = {"timeoutMs": 2_000}
SHAPES: Sequence[Sequence[Mapping[str, object]]] = (
    [action("gate"), action("work", **SHORT)],
    [action("work"), condition("ask", **SHORT), delay("pause", 5), action("gate")],
    [
        action("before", uses="work", **SHORT),
        parallel("both", [action("left", uses="gate"), "work"], [delay("pause", 5), "gate"]),
        action("after", uses="work"),
    ],
)
"""Steps of definitions; each has a gate, at which its runs can be held."""


def step_names(steps: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the names of a root list."""
    return [str(step["name"]) for step in steps]


@dataclass
class Door:
    """The gates of one generation of a run; closed until the test says how they end."""

    is_reached: bool = False
    ending: asyncio.Future[bool] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class World:
    """Everything real, on the loop of the servers; called from the machine's thread.

    Attributes:
        front: Emits, asks and repairs; does no work on runs.
        tenants: Two that no other world has.
    """

    def __init__(
        self, dsn: str, temporal_address: str, loop: asyncio.AbstractEventLoop, *, number: int
    ) -> None:
        self.tenants = (f"one-{number}", f"two-{number}")
        self._loop = loop
        self._doors: dict[tuple[str, int], Door] = defaultdict(Door)
        self._back: PulseTest | None = None
        self._database = Database(dsn, prefix="pulse_", timeout=PATIENCE)
        self.front = self.do(self._open(dsn, temporal_address))
        self.operator = self.do(self._hire(temporal_address))

    def do(self, work: Coroutine[object, object, Answer]) -> Answer:
        """Do something on the loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(2 * WAIT_SECONDS)

    @property
    def works(self) -> bool:
        """A worker is there."""
        return self._back is not None

    def start_worker(self) -> None:
        """Bring a worker."""
        self._back = self.do(self._worker())

    def stop_worker(self) -> None:
        """Let the worker go; what it does at that moment goes on with the next one."""
        if self._back is not None:
            back, self._back = self._back, None
            self.do(back.engine.stop())

    def close(self) -> None:
        """Stop everything."""
        self.stop_worker()
        self.do(self.front.engine.stop())
        self.do(self._database.close())

    async def emit(self, tenant_id: str, n: int, key: str | None) -> TriggerEnvelope:
        """Emit the signal that all definitions wait for."""
        fields = {} if key is None else {"idempotencyKey": key}
        return await self.front.emit(SIGNAL, {"n": n}, tenant_id=tenant_id, **fields)

    def open_door(self, run_id: str, generation: int, *, well: bool) -> None:
        """Let the gates of a run end, well or with an error."""

        async def turn() -> None:
            ending = self._doors[run_id, generation].ending
            if not ending.done():
                ending.set_result(well)

        self.do(turn())

    def await_gate(self, run_id: str, generation: int) -> None:
        """Wait until a run is held at a gate."""

        async def look() -> bool:
            return self._doors[run_id, generation].is_reached

        self.do(eventually(look, within=timedelta(seconds=WAIT_SECONDS)))

    def door_is_open(self, run_id: str, generation: int) -> bool:
        """Return whether the gates of a run have been told how to end."""

        async def look() -> bool:
            return self._doors[run_id, generation].ending.done()

        return self.do(look())

    def await_status(self, run_id: str, statuses: Collection[str]) -> None:
        """Wait until a run has one of these statuses."""

        async def look() -> bool:
            run = await self.front.engine.get_run(run_id)
            return run is not None and run.status in statuses

        self.do(eventually(look, within=timedelta(seconds=WAIT_SECONDS)))

    def reset(self, workflow_id: str) -> str:
        """Reset a workflow to its first decision, as soon as it has one; give the new run id."""

        async def act() -> str:
            await eventually(lambda: self.operator.decisions(workflow_id))
            return await self.operator.reset(workflow_id, to=0)

        return self.do(act())

    def await_closed(self, workflow_id: str, execution: str) -> None:
        """Wait until an execution has closed in Temporal."""

        async def look() -> bool:
            status = await self.operator.status(workflow_id, execution)
            return status != WorkflowExecutionStatus.RUNNING

        self.do(eventually(look, within=timedelta(seconds=WAIT_SECONDS)))

    def await_rest(self) -> None:
        """Wait until nothing is left to repair: no workflow is open without need."""

        async def look() -> bool:
            report = await self.front.engine.reconcile()
            return not report.repairs and not report.unknown_workflows

        self.do(eventually(look, within=timedelta(seconds=WAIT_SECONDS)))

    def runs_of(self, tenant_id: str) -> dict[str, WorkflowRun]:
        """Return all runs of a tenant, by id."""
        page = self.do(self.front.engine.list_runs(RunFilter(tenant_id=tenant_id), limit=500))
        return {run.id: run for run in page.items}

    def contradictions(self) -> dict[str, list[str]]:
        """Return the invariants that do not hold."""

        async def look() -> dict[str, list[str]]:
            async with self._database.session() as session:
                return await violations(session)

        return self.do(look())

    async def _open(self, dsn: str, temporal_address: str) -> PulseTest:
        front = make_pulse(dsn, temporal_address, reconcile_interval=LONG)
        self._equip(front)
        await front.engine.start(worker=False)
        return front

    async def _hire(self, temporal_address: str) -> Operator:
        return Operator(await Client.connect(temporal_address))

    async def _worker(self) -> PulseTest:
        back = make_pulse(
            self.front.dsn,
            self.front.temporal_address,
            like=self.front,
            reconcile_interval=LONG,
            shutdown_grace=timedelta(milliseconds=100),
        )
        self._equip(back)
        await back.engine.start()
        return back

    def _equip(self, pulse: PulseTest) -> None:
        pulse.signal(SIGNAL)
        pulse.action("work", returns={"n": 1}, replay_safe=True)
        pulse.condition("ask")
        pulse.engine.register_action("gate", self._gate)

    async def _gate(self, ctx: WorkflowContext) -> dict[str, object]:
        door = self._doors[ctx.run.id, ctx.run.generation]
        door.is_reached = True
        if not await asyncio.shield(door.ending):
            raise RuntimeError("the gate is shut")
        return {"tenant": ctx.tenant_id, "source": SOURCE}
