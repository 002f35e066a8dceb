"""One signal starts so many runs and steps at most; one that would start more is not stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from pulse_temporal import SignalLimitError, TriggerInput, WorkflowContext
from pulse_temporal.config import Limits
from pulse_temporal.embedded import EmbeddedServices
from tests.harness import SOURCE, TENANT, PulseTest, make_pulse

RUNS = "The signal 'many' of tenant tenant-a would start 4 runs at once; limits.runs_per_signal "
STEPS = (
    "The runs that the signal 'long' of tenant tenant-a would start have 8 steps altogether; "
    "limits.steps_per_signal allows 7."
)
TABLES = ("triggers", "workflow_runs", "workflow_step_runs", "run_control", "outbox")


@pytest.fixture
async def pulse(servers: EmbeddedServices, database: str) -> AsyncGenerator[PulseTest]:
    """Yield an engine that starts three runs and seven steps for a signal, and is not started."""
    made = make_pulse(
        database,
        servers.temporal_address,
        limits=Limits(runs_per_signal=3, steps_per_signal=7),
    )
    made.action("work")
    for _ in range(4):
        await made.define("many", "work")
    for _ in range(2):
        await made.define("long", *({"type": "action", "name": n, "uses": "work"} for n in "abcd"))
    for _ in range(3):
        await made.define("fits", "work")
    yield made
    await made.engine.stop()


async def rows(connection: asyncpg.Connection) -> int:
    """Count what emits have stored."""
    counts = [await connection.fetchval(f"SELECT count(*) FROM pulse_{name}") for name in TABLES]  # noqa: S608 - tables of this module
    return sum(counts)


@pytest.mark.parametrize(
    ("type_", "limit", "message"),
    [
        ("many", "limits.runs_per_signal", RUNS),
        ("long", "limits.steps_per_signal", STEPS),
    ],
)
async def test_a_signal_that_would_start_too_much_is_refused_and_nothing_is_stored(
    pulse: PulseTest, connection: asyncpg.Connection, type_: str, limit: str, message: str
) -> None:
    with pytest.raises(SignalLimitError) as refused:
        await pulse.emit(type_)

    assert str(refused.value).startswith(message)
    assert (refused.value.limit, refused.value.retryable) == (limit, False)
    assert await rows(connection) == 0
    assert len((await pulse.emit("fits")).run_ids) == 3


async def test_a_signal_over_the_limit_leaves_the_callers_transaction_usable(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    signal = {"tenantId": TENANT, "source": SOURCE, "type": "many"}
    async with connection.transaction():
        with pytest.raises(SignalLimitError):
            await pulse.engine.emit(signal, connection=connection)
        kept = await pulse.engine.emit(signal | {"type": "fits"}, connection=connection)
    assert await pulse.engine.get_trigger(kept.id) is not None


async def test_a_signal_over_the_limit_is_refused_with_a_key_and_among_many(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    with pytest.raises(SignalLimitError):
        await pulse.emit("many", idempotencyKey="order-7")
    signals = [{"tenantId": TENANT, "source": SOURCE, "type": t} for t in ("fits", "many", "fits")]
    with pytest.raises(SignalLimitError, match="'many'"):
        await pulse.engine.emit_many(signals)
    assert await rows(connection) == 0


async def test_signals_that_come_at_the_same_moment_are_stored(pulse: PulseTest) -> None:
    """Emits share statements: what is refused of one reaches no other."""
    types = ["fits", "many"] * 20

    answers = await asyncio.gather(*map(pulse.emit, types), return_exceptions=True)

    for type_, answer in zip(types, answers, strict=True):
        assert isinstance(answer, SignalLimitError) == (type_ == "many")


async def test_a_replay_and_a_cron_tick_are_bounded_too(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    trigger = await pulse.emit("fits")
    owner = await pulse.define("fits", "work", cronExpression="0 0 1 1 *")
    before = await rows(connection)

    with pytest.raises(SignalLimitError, match="would start 4 runs"):
        await pulse.engine.replay(trigger.id)
    tick = TriggerInput(tenant_id=TENANT, source="cron", type="fits", idempotency_key="tick")
    with pytest.raises(SignalLimitError, match="would start 4 runs"):
        await pulse.engine._parts.emitter.emit_tick(tick, owner=owner.id)  # pyright: ignore[reportPrivateUsage] - what a tick does

    assert await rows(connection) == before


async def test_a_handlers_signal_is_bounded_too(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    async def chain(ctx: WorkflowContext) -> None:
        await ctx.emit({"source": SOURCE, "type": "many"})

    pulse.engine.register_action("chain", chain)
    await pulse.define("first", "chain")
    await pulse.engine.start()

    run = await pulse.emit_and_wait("first")

    assert run.status == "failed"
    assert "limits.runs_per_signal" in (run.error_message or "")
    assert await connection.fetchval("SELECT count(*) FROM pulse_triggers") == 1
