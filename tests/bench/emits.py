"""Emits alone, against the bare insert of the row that they store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from random import Random

import asyncpg

from pulse_temporal import create_engine
from pulse_temporal.embedded import EmbeddedServices
from tests.bench.contenders import define, step
from tests.bench.measure import Figures, summary, throughput
from tests.bench.results import Duel, Found, Size

TOGETHER = 500
"""Signals of one emit_many."""

EMITS = (
    Duel("emits/s without a match ÷ bare insert", "no match", "bare insert", 0.6, 0.8),
    Duel("emits/s with one match ÷ bare insert", "one match", "bare insert", 0.35, 0.5),
)


async def emits(services: EmbeddedServices, dsn: str, size: Size, random: Random) -> Found:
    """Measure emits alone: nobody works, and the relay is not there."""
    async with asyncpg.create_pool(dsn, min_size=size.emitters, max_size=size.emitters) as pool:
        engine = create_engine(pool, services.temporal_address, queue_prefix="bench-emit")
        await engine.migrate()
        engine.register_action("act", _never)
        await define(engine, "matched", [step(n) for n in range(3)])
        engine.register_trigger("unmatched", source="bench")
        found = await throughput(
            {
                "bare insert": inserting(pool),
                "no match": emitting(engine.emit, "unmatched"),
                "one match": emitting(engine.emit, "matched"),
            },
            rounds=size.rounds,
            number=size.emits,
            in_flight=size.emitters,
            servers=[services.postgres.pid],
            random=random,
        )
        many = await throughput(
            {
                "emit_many, no match": emitting_many(engine.emit_many, "unmatched"),
                "emit_many, one match": emitting_many(engine.emit_many, "matched"),
            },
            rounds=size.rounds,
            number=max(2, size.emits // TOGETHER),
            in_flight=2,
            servers=[services.postgres.pid],
            random=random,
        )
        found |= {name: each_signal(calls) for name, calls in many.items()}
        await engine.stop()

    return Found({"emits": found}, targets=[duel.judge(found) for duel in EMITS])


def each_signal(calls: Figures) -> Figures:
    """Turn figures of calls with ``TOGETHER`` signals into figures of signals."""
    return summary(
        [
            replace(
                call,
                per_second=call.per_second * TOGETHER,
                own_cpu_ms=call.own_cpu_ms / TOGETHER,
                server_cpu_ms=call.server_cpu_ms / TOGETHER,
            )
            for call in calls.rounds
        ]
    )


async def _never(_: object) -> None:
    raise AssertionError("nobody works in this group")


def inserting(pool: asyncpg.Pool) -> Callable[[], Awaitable[object]]:
    """Return the bare insert of the row that an emit stores."""
    numbers = iter(range(10**9))

    async def insert() -> None:
        await pool.execute(
            """INSERT INTO pulse_triggers (id, tenant_id, source, type, payload, request_hash)
            VALUES ($1, 'bench', 'bench', 'bare', $2::text::jsonb, $3)""",
            f"trg_bare_{next(numbers):012}",
            '{"order":1}',
            "0" * 64,
        )

    return insert


def emitting(
    emit: Callable[[Mapping[str, object]], Awaitable[object]], type_: str
) -> Callable[[], Awaitable[object]]:
    """Return an emit of the same payload."""
    signal = {"tenantId": "bench", "source": "bench", "type": type_, "payload": {"order": 1}}
    return lambda: emit(signal)


def emitting_many(
    emit_many: Callable[[Sequence[Mapping[str, object]]], Awaitable[object]], type_: str
) -> Callable[[], Awaitable[object]]:
    """Return an emit of many signals of the same payload."""
    signal = {"tenantId": "bench", "source": "bench", "type": type_, "payload": {"order": 1}}
    return lambda: emit_many([signal] * TOGETHER)
