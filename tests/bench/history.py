"""How much a step writes into Temporal's history: counted, so the same on every machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from temporalio.client import Client

from pulse_temporal.embedded import EmbeddedServices
from tests.bench.contenders import SHORT_MS, Stage, chain, pulse_stage
from tests.bench.results import Found, Size, Target

FEW, MANY = 4, 24


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of step: its name, how many of them are written, the events that it may cost."""

    name: str
    events: float
    fields: Mapping[str, object]

    def steps(self, number: int) -> Sequence[object]:
        """Write so many of them."""
        return chain(number, **self.fields)


KINDS = (
    Kind("short action", 1.0, {"timeoutMs": SHORT_MS}),
    Kind("condition", 1.0, {"type": "condition", "uses": "is"}),
    Kind("queued action", 6.0, {}),
)


@dataclass(frozen=True, slots=True)
class History:
    """What a workflow has left in Temporal.

    Attributes:
        executions: One, and one more for each time it continued as new.
        events: Of the longest of them.
        kib: Of the largest of them.
    """

    executions: int
    events: int
    kib: float


async def history(services: EmbeddedServices, dsn: str, size: Size, random: Random) -> Found:
    """Measure events per step, as the difference of a long and a short definition."""
    del size, random  # the same whatever they are
    client = await Client.connect(services.temporal_address)
    targets: list[Target] = []
    async with pulse_stage(services.temporal_address, dsn) as stage:
        for kind in KINDS:
            few, many = [
                await history_of(stage, client, f"{kind.name} {n}", kind.steps(n))
                for n in (FEW, MANY)
            ]
            events = (many.events - few.events) / (MANY - FEW)
            figure = f"history events per step: {kind.name}"
            targets.append(Target(figure, events, kind.events, kind.events, lower=True))
    return Found(targets=targets)


async def history_of(stage: Stage, client: Client, name: str, steps: Sequence[object]) -> History:
    """Run a definition once and look at its workflow."""
    contender = await stage.contender(name, steps)
    return await executions_of(client, await contender.run())


async def executions_of(client: Client, run_id: str) -> History:
    """Count a finished workflow's executions, from the newest back to the first."""
    handle = client.get_workflow_handle(run_id)
    await handle.result()
    newest = await handle.describe()
    first = newest.raw_description.workflow_execution_info.first_run_id
    found = [newest]
    while found[-1].run_id != first:
        started = await anext(
            client.get_workflow_handle(run_id, run_id=found[-1].run_id).fetch_history_events()
        )
        previous = started.workflow_execution_started_event_attributes.continued_execution_run_id
        found.append(await client.get_workflow_handle(run_id, run_id=previous).describe())
    infos = [each.raw_description.workflow_execution_info for each in found]
    return History(
        executions=len(found),
        events=max(each.history_length for each in found),
        kib=max(info.history_size_bytes for info in infos) / 1024,
    )
