"""Temporal's history grows by the step, not by the data, and never with its square."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import action, condition, parallel
from tests.harness import PulseTest, make_pulse

LENGTHS = (5, 20, 80)
SHORT = 1_000
"""A declared timeout that makes a step a local activity."""

EVENTS_PER_QUEUED_ACTION = 6
"""Scheduled, started, completed; and the workflow task that hears of it: the same three."""

BYTES_PER_STEP = 2_000
RUN_SECONDS = 60.0


@pytest.fixture
async def quiet_pulse(servers: EmbeddedServices, database: str) -> AsyncGenerator[PulseTest]:
    """Yield an engine whose workflow tasks take no breath, and that shows no results."""
    made = make_pulse(
        database,
        servers.temporal_address,
        task_timeout=timedelta(seconds=120),
        history_result_bytes=0,
    )
    made.action("act", returns={"some": "result"})
    made.condition("ask")
    async with made.engine:
        yield made


def queued(index: int) -> dict[str, object]:
    return action(f"step{index}", uses="act")


def short(index: int) -> dict[str, object]:
    """Alternate actions and conditions, which are short unless they say otherwise."""
    if index % 2:
        return condition(f"step{index}", uses="ask")
    return action(f"step{index}", uses="act", timeoutMs=SHORT)


async def histories(
    pulse: PulseTest, step: Callable[[int], dict[str, object]]
) -> list[WorkflowHistory]:
    """Run lists of all lengths and give the histories of their workflows."""
    found: list[WorkflowHistory] = []
    for length in LENGTHS:
        type_ = f"growth.of.{length}"
        await pulse.define(type_, *(step(index) for index in range(length)))
        (run_id,) = (await pulse.emit(type_)).run_ids
        run = await pulse.engine.wait_for_run(run_id, timeout=RUN_SECONDS)
        assert run.status == "completed"
        handle = await pulse.workflow(run_id)
        await handle.result()
        found.append(await handle.fetch_history())
    return found


def size(history: WorkflowHistory) -> int:
    """Return the bytes of a history's events, the first one's included."""
    return sum(event.ByteSize() for event in history.events)


async def test_queued_actions_cost_six_events_each(quiet_pulse: PulseTest) -> None:
    five, twenty, eighty = await histories(quiet_pulse, queued)
    added = len(twenty.events) - len(five.events), len(eighty.events) - len(twenty.events)
    assert added == (15 * EVENTS_PER_QUEUED_ACTION, 60 * EVENTS_PER_QUEUED_ACTION)
    assert EventType.EVENT_TYPE_TIMER_STARTED not in {event.event_type for event in eighty.events}


async def test_short_steps_cost_one_event_each(quiet_pulse: PulseTest) -> None:
    five, twenty, eighty = await histories(quiet_pulse, short)
    added = len(twenty.events) - len(five.events), len(eighty.events) - len(twenty.events)
    assert added == (15, 60)


@pytest.mark.parametrize("step", [queued, short])
async def test_bytes_grow_with_the_number_of_steps(
    quiet_pulse: PulseTest, step: Callable[[int], dict[str, object]]
) -> None:
    """A step late in a long list costs what an early one costs."""
    five, twenty, eighty = map(size, await histories(quiet_pulse, step))
    early, late = (twenty - five) / 15, (eighty - twenty) / 60
    assert late == pytest.approx(early, rel=0.1)
    assert late < BYTES_PER_STEP


async def test_the_tenants_data_stays_out_of_history(quiet_pulse: PulseTest) -> None:
    """Payload, config and context live in Postgres; Temporal sees ids and the skeleton."""
    quiet_pulse.action("leak", returns={"secret": "canary-result"})
    reader = quiet_pulse.action("reader")
    branches = parallel(
        "both",
        [action("left", uses="reader", config={"key": "canary-step-config"})],
        [action("right", uses="reader", timeoutMs=SHORT)],
    )
    await quiet_pulse.define(
        "data.seen",
        "leak",
        action("short_leak", uses="leak", timeoutMs=SHORT),
        branches,
        config={"key": "canary-config"},
    )
    run = await quiet_pulse.emit_and_wait("data.seen", {"key": "canary-payload"})
    assert run.status == "completed"
    assert {"secret": "canary-result"} in run.context.values()
    assert {ctx.trigger.payload["key"] for ctx in reader.calls} == {"canary-payload"}

    for workflow_id in (run.id, f"{run.id}/2/b0", f"{run.id}/2/b1"):
        history = await quiet_pulse.history(workflow_id)
        written = b"".join(event.SerializeToString() for event in history.events)
        assert b"both" in written
        assert b"canary" not in written
