"""Hooks learn of every end, once, and cannot hurt a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from pulse_temporal import RunCompleteEvent, StepCompleteEvent, create_engine
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import condition, delay, parallel
from tests.harness import PulseTest

StepHook = Callable[[StepCompleteEvent], Awaitable[None] | None]
RunHook = Callable[[RunCompleteEvent], Awaitable[None] | None]


@asynccontextmanager
async def hooked(
    servers: EmbeddedServices,
    dsn: str,
    *,
    on_step: StepHook | None = None,
    on_run: RunHook | None = None,
) -> AsyncGenerator[PulseTest]:
    """Run an engine with hooks; when the block ends, all of them have been called."""
    engine = create_engine(
        dsn,
        servers.temporal_address,
        queue_prefix=f"hooks-{id(on_step)}-{id(on_run)}",
        on_step_complete=on_step,
        on_run_complete=on_run,
    )
    async with engine:
        yield PulseTest(engine, dsn=dsn, temporal_address=servers.temporal_address)


async def test_every_end_is_told_once(servers: EmbeddedServices, database: str) -> None:
    """Completed, skipped and failed steps, delays, blocks, and the run at last."""
    told: list[str] = []

    def on_step(event: StepCompleteEvent) -> None:
        told.append(f"{event.step.path} {event.step.status}")

    async def on_run(event: RunCompleteEvent) -> None:
        await asyncio.sleep(0)
        told.append(f"run {event.status} {event.run.generation}")

    async with hooked(servers, database, on_step=on_step, on_run=on_run) as pulse:
        pulse.action("work")
        pulse.action("broken", fails=9)
        pulse.condition("never", returns=False)
        await pulse.define(
            "alert",
            delay("pause", 50),
            condition("never", onFalse="skip"),
            "work",
            parallel("both", [{"type": "action", "name": "a", "uses": "work"}], ["broken"]),
        )
        run = await pulse.emit_and_wait("alert")
        assert run.status == "failed"
    *steps, last = told
    assert last == "run failed 1"
    assert steps[:3] == ["0 completed", "1 completed", "2 skipped"]
    assert sorted(steps[3:5]) == ["3/b0/0 completed", "3/b1/0 failed"]
    assert steps[5:] == ["3 failed"]


async def test_a_cancel_is_told_by_the_process_that_canceled(
    servers: EmbeddedServices, database: str
) -> None:
    """Its steps first, then the run."""
    told: list[str] = []

    def on_step(event: StepCompleteEvent) -> None:
        told.append(f"{event.step.path} {event.step.status}")

    def on_run(event: RunCompleteEvent) -> None:
        told.append(f"run {event.status}")

    async with hooked(servers, database, on_step=on_step, on_run=on_run) as pulse:
        pulse.action("work")
        await pulse.define("alert", delay("pause", 60_000), "work")
        trigger = await pulse.emit("alert")
        await pulse.engine.cancel_run(trigger.run_ids[0], "no longer needed")
    assert told == ["0 skipped", "1 skipped", "run canceled"]


async def test_tenants_take_turns_in_being_told(servers: EmbeddedServices, database: str) -> None:
    """The end of a quiet tenant's run does not wait for those of another one's many runs."""
    told: list[str] = []
    is_called, may_go_on = asyncio.Event(), asyncio.Event()

    async def on_run(event: RunCompleteEvent) -> None:
        told.append(event.run.tenant_id)
        is_called.set()
        await may_go_on.wait()

    async with hooked(servers, database, on_run=on_run) as pulse:
        signal = {"source": "test", "type": "alert"}
        for tenant_id, number in (("noisy", 10), ("quiet", 1)):
            await pulse.define("alert", tenant_id=tenant_id)
            for trigger in await pulse.engine.emit_many(
                [signal | {"tenantId": tenant_id}] * number
            ):
                await pulse.engine.wait_for_run(trigger.run_ids[0])
        async with asyncio.timeout(10):
            await is_called.wait()
        may_go_on.set()
    assert len(told) == 11
    assert told.index("quiet") <= 2


async def test_a_hook_that_fails_hurts_nothing(
    servers: EmbeddedServices, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it raises is logged; the run and later hooks go on."""
    told: list[str] = []

    def on_step(event: StepCompleteEvent) -> None:
        raise SystemExit(event.step.step_name)

    async def on_run(event: RunCompleteEvent) -> None:
        told.append(event.status)
        raise RuntimeError("the hook is broken")

    async with hooked(servers, database, on_step=on_step, on_run=on_run) as pulse:
        pulse.action("work")
        await pulse.define("alert", "work")
        run_ids: list[str] = []
        for _ in range(2):
            run = await pulse.emit_and_wait("alert")
            assert run.status == "completed"
            run_ids.append(run.id)
    assert told == ["completed", "completed"]
    failures = [each for each in caplog.messages if each.startswith("Hook on_")]
    assert len(failures) == 4
    assert (
        sum(
            f"on_step_complete failed for run {run}" in line
            for run in run_ids
            for line in failures
        )
        == 2
    )
    assert (
        sum(
            f"on_run_complete failed for run {run}" in line for run in run_ids for line in failures
        )
        == 2
    )
