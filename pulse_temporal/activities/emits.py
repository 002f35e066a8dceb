"""The signals that one delivery of a step emits, and what Postgres did to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from pulse_temporal.activities.patience import FIRST_PAUSE
from pulse_temporal.errors import (
    InvalidInputError,
    PostgresUnavailableError,
    StoreError,
    TransactionFailedError,
)
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.postgres.connection import Connection
from pulse_temporal.services.signals.chaining import StepEmits

SLOW = timedelta(seconds=1)
"""An emit that has no answer for so long is held up by Postgres."""

LONGEST_PAUSE = timedelta(seconds=2)

HANDLERS_OWN = (InvalidInputError, TransactionFailedError)
"""What an emit raises because of what the handler did: a bad signal, a spoiled transaction."""


class HandlerEmits:
    """``ctx.emit`` of one delivery.

    What Postgres does to an emit is no failure of the handler, whatever the handler makes of the
    error: it may let it through, wrap it, swallow it, or run out of time meanwhile. So it is
    noted here, and ``check`` raises it when the handler has ended.

    Args:
        emits: Stores the signals of the step.
        timeout: Length of the attempt.

    Attributes:
        connection: Of a transactional action; its signals join that transaction.
    """

    def __init__(self, emits: StepEmits, *, timeout: timedelta) -> None:
        self.emits = emits
        self.connection: Connection | None = None
        self._slow_seconds = min(SLOW, timeout / 2).total_seconds()
        self._begun: dict[object, float] = {}
        self._trouble: Exception | None = None
        self._is_over = False

    async def emit(self, signal: TriggerInput | Mapping[str, object]) -> TriggerEnvelope:
        """Store a signal; see ``WorkflowContext.emit``."""
        # Made once: a repeat after a lost answer has the same key, and stores nothing twice.
        trigger = self.emits.new(signal)

        async def emit() -> TriggerEnvelope:
            return await self.emits.store(trigger, connection=self.connection)

        with self._watched():
            # The key makes repeating harmless; in a transaction, its connection is what is lost.
            return await (emit() if self.connection is not None else self._patiently(emit))

    def check(self) -> None:
        """Do nothing when Postgres took every signal, or refused it for the handler's fault.

        Raises:
            PostgresUnavailableError: Postgres failed one, or still holds one up.
        """
        if self.is_troubled:
            raise PostgresUnavailableError(
                f"Postgres failed a signal that the step emitted: {self._trouble}"
            ) from self._trouble

    @property
    def is_troubled(self) -> bool:
        """Whether Postgres has failed a signal, or holds one up."""
        now = asyncio.get_running_loop().time()
        if any(self._is_slow(now, begun) for begun in self._begun.values()):
            self._trouble = self._trouble or _held_up()
        return self._trouble is not None

    @property
    def trouble(self) -> BaseException | None:
        """What Postgres has failed a signal with."""
        return self._trouble

    def close(self) -> None:
        """Repeat no more emits: the delivery is over, and only a thread may still wait."""
        self._is_over = True

    async def _patiently(self, emit: Callable[[], Awaitable[TriggerEnvelope]]) -> TriggerEnvelope:
        """Repeat an emit as long as the attempt has time: that is what an outage may cost it."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await emit()
            except StoreError as error:
                if self._is_over or not error.retryable:
                    raise
            await asyncio.sleep(pause.total_seconds())
            pause = min(2 * pause, LONGEST_PAUSE)

    @contextmanager
    def _watched(self) -> Generator[None]:
        clock = asyncio.get_running_loop().time
        emit = object()
        begun = self._begun[emit] = clock()
        try:
            yield
        except asyncio.CancelledError:  # the attempt's time is over, or a bound of the handler's
            if self._is_slow(clock(), begun):
                self._trouble = self._trouble or _held_up()
            raise
        except HANDLERS_OWN:
            raise
        except Exception as error:
            self._trouble = self._trouble or error
            raise
        finally:
            del self._begun[emit]

    def _is_slow(self, now: float, begun: float) -> bool:
        return now - begun >= self._slow_seconds


def _held_up() -> PostgresUnavailableError:
    return PostgresUnavailableError("Postgres did not store it before its time was over.")
