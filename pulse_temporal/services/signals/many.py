"""Store many signals in one transaction: all of them, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from pulse_temporal.config import HARD_JSON_BYTES
from pulse_temporal.errors import JsonValueError, SignalError
from pulse_temporal.model.plain import article
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.postgres.connection import Connection
from pulse_temporal.postgres.joining import check_joinable
from pulse_temporal.services.signals.emit import Emitter
from pulse_temporal.store.triggers import NewTrigger

MOST_SIGNALS = 1_000
MOST_BYTES = HARD_JSON_BYTES
"""Bounds of one call: its signals, and their payloads together as JSON."""

AT_A_STRETCH = 100
"""Signals that are checked before other tasks of the event loop get a turn."""


async def emit_many(
    emitter: Emitter,
    signals: Sequence[TriggerInput | Mapping[str, object]],
    *,
    connection: Connection | None,
) -> list[TriggerEnvelope]:
    """Store signals and plan their runs; see ``Engine.emit_many``."""
    if not isinstance(signals, list | tuple):
        raise SignalError(
            f"emit_many takes a list of signals, not {article(signals)}; emit takes one signal."
        )
    if len(signals) > MOST_SIGNALS:
        raise SignalError(
            f"emit_many was given {len(signals)} signals; at most {MOST_SIGNALS} are accepted at "
            "once. Call it several times."
        )
    if connection is not None:  # before the checks, which take a while
        check_joinable(connection, prefix=emitter.database.prefix)
    checked: list[NewTrigger] = []
    left = MOST_BYTES
    for index, signal in enumerate(signals):
        checked.append(_check(emitter, signal, index=index))
        left -= len(checked[-1].payload.encode())
        if left < 0:
            raise SignalError(
                f"signals[{index}]: With this one the payloads have over {MOST_BYTES} bytes as "
                "JSON in UTF-8, which is what emit_many accepts at once. Call it several times.",
                index=index,
            )
        if index % AT_A_STRETCH == AT_A_STRETCH - 1:
            await asyncio.sleep(0)
    return await emitter.writer.store_all(checked, connection=connection) if checked else []


def _check(
    emitter: Emitter, signal: TriggerInput | Mapping[str, object], *, index: int
) -> NewTrigger:
    """Check one signal as ``emit`` does; raise with its place in the list."""
    place = f"signals[{index}]"
    try:
        return emitter.intake.accept(signal, index=index)
    except SignalError as error:
        raise type(error)(f"{place}: {error}", index=index) from error
    except JsonValueError as error:
        reason = str(error).removeprefix(f"{error.where}{error.pointer}: ")
        raise JsonValueError(f"{place}.{error.where}", error.pointer, reason) from error
