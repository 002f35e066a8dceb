"""The door for signals: check one, have it stored, and return its envelope."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from pulse_temporal.config import EngineOptions
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.postgres.connection import Connection
from pulse_temporal.services.outbox.dispatch import Dispatcher
from pulse_temporal.services.signals.intake import SignalIntake
from pulse_temporal.services.signals.writing import SignalWriter
from pulse_temporal.store import triggers
from pulse_temporal.store.database import Database


class Emitter:
    """Accepts signals, and stores them together with the runs that they start.

    Attributes:
        intake: Checks signals and returns them in the form in which they are stored.
        writer: Stores them.
    """

    def __init__(
        self,
        database: Database,
        registry: Registry,
        dispatcher: Dispatcher,
        options: EngineOptions,
    ) -> None:
        self.database = database
        self.options = options
        self.intake: SignalIntake = SignalIntake(registry, options)
        self.writer: SignalWriter = SignalWriter(database, dispatcher, options)

    async def emit(
        self,
        signal: TriggerInput | Mapping[str, object],
        *,
        connection: Connection | None = None,
    ) -> TriggerEnvelope:
        """Store a signal and plan its runs; see ``Engine.emit``."""
        return await self.writer.store(self.intake.accept(signal), connection=connection)

    async def emit_tick(self, signal: TriggerInput, *, owner: str) -> TriggerEnvelope:
        """Store the signal of a cron tick; see ``SignalIntake.tick``."""
        return await self.writer.store(self.intake.tick(signal, owner=owner))

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """Lend a connection in a transaction; see ``SignalWriter.transaction``."""
        async with self.writer.transaction() as connection:
            yield connection

    async def await_storage(self) -> None:
        """Wait until signals can be stored: nothing holds their table locked.

        Raises:
            PostgresUnavailableError: Not within ``postgres_timeout``.
        """
        async with self.database.session() as session:
            await triggers.take_signals(session)
