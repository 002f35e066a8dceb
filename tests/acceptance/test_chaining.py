"""Handlers emit signals, and those start further runs: once, for the same tenant, not for ever."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

import pytest

from pulse_temporal import Limits, TriggerEnvelope, WorkflowContext, WorkflowRun
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.testing import action
from tests.harness import SOURCE, PulseTest, eventually, make_pulse

TWO = {"maxAttempts": 2, "backoffMs": 100}


def emits(pulse: PulseTest, name: str, *types: str, fails: int = 0) -> list[TriggerEnvelope]:
    """Register an action that emits signals; gives the list in which they will be."""
    emitted: list[TriggerEnvelope] = []

    @pulse.engine.action(name)
    async def emit(ctx: WorkflowContext) -> None:
        for type_ in types:
            payload = {"order": 1}
            emitted.append(await ctx.emit({"source": SOURCE, "type": type_, "payload": payload}))
        if ctx.step.attempt <= fails:
            raise RuntimeError("after the emit")

    return emitted


async def test_a_signal_from_a_handler_starts_further_runs(pulse: PulseTest) -> None:
    ship = pulse.action("ship")
    emitted = emits(pulse, "announce", "order.ready")
    await pulse.define("order.ready", "ship")
    await pulse.define("order.paid", "announce")

    await pulse.emit_and_wait("order.paid")
    run = await pulse.engine.wait_for_run(emitted[0].run_ids[0])

    assert run.status == "completed"
    assert ship.call_count == 1


async def test_a_caused_signal_tells_what_caused_it(pulse: PulseTest) -> None:
    second = emits(pulse, "announce", "order.ready")
    third = emits(pulse, "announce again", "order.gone")
    await pulse.define("order.gone")
    await pulse.define("order.ready", "announce again")
    await pulse.define("order.paid", "announce")

    first = await pulse.emit("order.paid")
    await pulse.engine.wait_for_run(first.run_ids[0])
    await pulse.engine.wait_for_run(second[0].run_ids[0])

    assert (first.caused_by_run_id, first.root_trigger_id, first.depth) == (None, None, 0)
    for cause, caused, depth in [(first, second[0], 1), (second[0], third[0], 2)]:
        stored = await pulse.engine.get_trigger(caused.id)
        assert stored is not None
        assert stored.caused_by_run_id == cause.run_ids[0]
        assert (stored.root_trigger_id, stored.depth) == (first.id, depth)


async def test_a_step_that_is_repeated_emits_once(pulse: PulseTest) -> None:
    emitted = emits(pulse, "announce", "order.ready", fails=1)
    await pulse.define("order.ready")
    await pulse.define("order.paid", action("announce", retryPolicy=TWO))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert [envelope.duplicate for envelope in emitted] == [False, True]
    assert {envelope.id for envelope in emitted} == {emitted[0].id}
    assert emitted[1].run_ids == emitted[0].run_ids


async def test_one_step_may_emit_several_signals_of_a_type(pulse: PulseTest) -> None:
    emitted = emits(pulse, "announce", "order.ready", "order.ready", "order.gone", fails=1)
    await pulse.define("order.ready")
    pulse.signal("order.gone")
    await pulse.define("order.paid", action("announce", retryPolicy=TWO))

    await pulse.emit_and_wait("order.paid")

    first, second = emitted[:3], emitted[3:]
    assert len({envelope.id for envelope in first}) == 3
    assert [envelope.id for envelope in second] == [envelope.id for envelope in first]


@pytest.mark.parametrize("spelling", ["tenantId", "tenant_id"])
async def test_a_handler_cannot_emit_for_another_tenant(pulse: PulseTest, spelling: str) -> None:
    pulse.signal("order.ready")

    @pulse.engine.action("announce")
    async def announce(ctx: WorkflowContext) -> None:
        await ctx.emit({spelling: "somebody-else", "source": SOURCE, "type": "order.ready"})

    await pulse.define("order.paid", "announce")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert run.error_message is not None
    assert "SignalError: A handler may only emit for its run's tenant" in run.error_message


async def test_a_signal_that_is_refused_fails_the_attempt(pulse: PulseTest) -> None:
    emits(pulse, "announce", "order.raedy")
    pulse.signal("order.ready")
    await pulse.define("order.paid", "announce")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert 'Did you mean "order.ready"?' in (run.error_message or "")


@pytest.fixture
async def short_chains(servers: EmbeddedServices, database: str) -> AsyncGenerator[PulseTest]:
    """Yield an engine on which at most three signals may cause each other."""
    made = make_pulse(database, servers.temporal_address, limits=Limits(chain_depth=3))
    async with made.engine:
        yield made


async def test_workflows_that_start_each_other_come_to_an_end(short_chains: PulseTest) -> None:
    pulse = short_chains
    emitted = emits(pulse, "again", "tick")
    await pulse.define("tick", "again")

    first = await pulse.emit("tick")
    run_ids = list(first.run_ids)
    for position in range(3):
        await pulse.engine.wait_for_run(run_ids[-1])
        run_ids += emitted[position].run_ids
    last = await pulse.engine.wait_for_run(run_ids[-1])

    assert [envelope.depth for envelope in emitted] == [1, 2, 3]
    assert last.status == "failed"
    assert "number 4 in a chain of signals" in (last.error_message or "")


async def test_workflows_that_multiply_come_to_an_end(
    servers: EmbeddedServices, database: str
) -> None:
    """Each run emits two signals; what one signal causes altogether is bounded."""
    limits = Limits(chain_signals=20)
    pulse = make_pulse(database, servers.temporal_address, limits=limits)
    emits(pulse, "twice", "tick", "tick")
    async with pulse.engine:
        await pulse.define("tick", "twice")
        first = await pulse.emit("tick")

        async def over() -> Sequence[WorkflowRun] | None:
            runs = (await pulse.engine.list_runs(limit=500)).items
            return runs if all(run.status in ("completed", "failed") for run in runs) else None

        runs = await eventually(over, within=timedelta(seconds=60))

    assert 20 <= len(runs) - len(first.run_ids) < 40
    errors = {run.error_message or "" for run in runs if run.status == "failed"}
    assert errors
    assert all("limits.chain_signals" in error for error in errors)
