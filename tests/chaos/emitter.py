"""The application: a process that emits, cancels, retries, replays, and keeps the answers.

Operation N is drawn from the seed and N alone, so a process that takes over after a kill goes on
where the journal ends.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import asyncpg

from pulse_temporal import Engine, TriggerEnvelope
from pulse_temporal.clock import utc_now
from pulse_temporal.errors import (
    EmitBusyError,
    PostgresUnavailableError,
    RunConflictError,
    RunTransitionError,
    TransactionFailedError,
)
from pulse_temporal.postgres.connection import Connection
from tests.chaos.journal import Entry, Journal
from tests.chaos.stage import Errand, start
from tests.chaos.workload import PATIENCE, TENANTS, make_engine, make_signal

log = logging.getLogger(__name__)

AT_ONCE = 16
MEMORY = 40
TRIES = 30
PAUSE_SECONDS = 0.2
KEYED_ALIKE = 4
"""So many neighbouring operations that use a key use the same one, with the same content."""

BUSY = (PostgresUnavailableError, EmitBusyError)
EXPECTED = (*BUSY, TransactionFailedError, RunConflictError, RunTransitionError)
"""What the engine may say while servers die."""

OWN = (
    *(OSError, TimeoutError, asyncpg.PostgresError),
    *(asyncpg.InterfaceError, asyncpg.InternalClientError),
)
"""What the application's own statements may meet."""

Operation = Callable[[int, random.Random], Awaitable[None]]


class Undone(Exception):  # noqa: N818 - the application changed its mind
    """Rolls back a transaction of the application."""


class Emitter:
    """Carries out operations, at most ``AT_ONCE`` at the same time."""

    def __init__(self, engine: Engine, journal: Journal, *, dsn: str, seed: int) -> None:
        self.engine = engine
        self.journal = journal
        self.dsn = dsn
        self.seed = seed
        self.runs: deque[str] = deque(maxlen=MEMORY)
        self.triggers: deque[str] = deque(maxlen=MEMORY)
        self._weights: Mapping[Operation, int] = {
            self.emit: 40,
            self.emit_with_key: 14,
            self.emit_in_transaction: 16,
            self.cancel: 12,
            self.retry: 12,
            self.replay: 6,
        }

    async def work(self, *, rate: float, stopping: asyncio.Event) -> None:
        """Begin operations at a rate until told to stop; finish those that have begun."""
        entries = self.journal.read()
        op = max((entry.op for entry in entries), default=0)
        for entry in entries[-MEMORY:]:
            self._remember(entry)
        places = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while not stopping.is_set():
                op += 1
                await places.acquire()
                group.create_task(self._operate(op, places))
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), 1 / rate)

    async def _operate(self, op: int, places: asyncio.Semaphore) -> None:
        chance = self._chance(op)
        (operation,) = chance.choices(list(self._weights), list(self._weights.values()))
        self.journal.write(Entry(op=op, did="began"))
        try:
            await operation(op, chance)
        except EXPECTED as error:
            self.journal.write(Entry(op=op, did="refused", error=type(error).__name__))
        except Exception as error:
            log.exception("an unexpected error", extra={"op": op})
            self.journal.write(Entry(op=op, did="surprised", error=repr(error)))
        finally:
            places.release()

    async def emit(self, op: int, chance: random.Random) -> None:
        """Emit a signal."""
        envelope = await self.engine.emit(make_signal(chance, op=op))
        self._note(Entry(op=op, did="emitted", trigger=envelope.id, runs=envelope.run_ids))

    async def emit_with_key(self, op: int, chance: random.Random) -> None:
        """Emit the same thing several times at once, each until it is acknowledged."""
        first = op - op % KEYED_ALIKE
        key = f"order-{first}"
        signal = {**make_signal(self._chance(first), op=first), "idempotencyKey": key}

        async def insist() -> None:
            envelope = await self._insist(signal)
            self._note(
                Entry(op=op, did="emitted", trigger=envelope.id, runs=envelope.run_ids, key=key)
            )

        await asyncio.gather(*(insist() for _ in range(chance.randint(1, 3))))

    async def emit_in_transaction(self, op: int, chance: random.Random) -> None:
        """Emit together with a row of the application; a third is rolled back."""
        signal = make_signal(chance, op=op)
        is_own = chance.random() < 0.5
        changes_its_mind = chance.random() < 0.33
        sent: list[TriggerEnvelope] = []

        async def act(connection: Connection) -> None:
            try:
                envelope = await self.engine.emit(signal, connection=connection)
            except OWN as error:
                raise AssertionError("the engine raised what is not its own") from error
            sent.append(envelope)
            await connection.execute(
                "INSERT INTO chaos_orders (op, trigger_id) VALUES ($1, $2)", op, envelope.id
            )
            if changes_its_mind:
                raise Undone

        deed = "joined"
        try:
            await (self._in_own_transaction(act) if is_own else self._in_transaction(act))
        except Undone:
            deed = "rolled back"
        except OWN as error:
            self.journal.write(Entry(op=op, did="refused", error=type(error).__name__))
            return
        (envelope,) = sent
        self._note(Entry(op=op, did=deed, trigger=envelope.id, runs=envelope.run_ids))

    async def cancel(self, op: int, chance: random.Random) -> None:
        """Cancel one of the last runs."""
        if not self.runs:
            return
        run_id = chance.choice(list(self.runs)[-10:])
        await asyncio.sleep(chance.random() * 0.3)
        await self.engine.cancel_run(run_id, f"operation {op}")
        self._note(Entry(op=op, did="canceled", runs=(run_id,), at=utc_now()))

    async def retry(self, op: int, chance: random.Random) -> None:
        """Retry a failed run, half of the time twice at once."""
        tenant_id = chance.choice(TENANTS)
        failed = (await self.engine.get_failed_runs(tenant_id=tenant_id, limit=500)).items
        if not failed:
            return
        run_id = chance.choice(failed).id

        async def retry() -> None:
            with suppress(RunConflictError, RunTransitionError):
                run = await self.engine.retry_run(run_id)
                self._note(Entry(op=op, did="retried", runs=(run_id,), generation=run.generation))

        await asyncio.gather(*(retry() for _ in range(chance.randint(1, 2))))

    async def replay(self, op: int, chance: random.Random) -> None:
        """Replay one of the last signals."""
        if not self.triggers:
            return
        trigger_id = chance.choice(self.triggers)
        runs = await self.engine.replay(trigger_id, dry_run=chance.random() < 0.3)
        run_ids = tuple(run.id for run in runs)
        self._note(Entry(op=op, did="replayed", trigger=trigger_id, runs=run_ids))

    async def _insist(self, signal: Mapping[str, object]) -> TriggerEnvelope:
        """Emit until it is acknowledged: with a key that is safe."""
        for _ in range(TRIES):
            with suppress(*BUSY):
                return await self.engine.emit(signal)
            await asyncio.sleep(PAUSE_SECONDS)
        return await self.engine.emit(signal)

    async def _in_transaction(self, act: Callable[[Connection], Awaitable[None]]) -> None:
        async with self.engine.transaction() as connection:
            await act(connection)

    async def _in_own_transaction(self, act: Callable[[Connection], Awaitable[None]]) -> None:
        seconds = PATIENCE.total_seconds()
        connection = await asyncpg.connect(self.dsn, timeout=seconds, command_timeout=seconds)
        try:
            async with connection.transaction():
                await act(connection)
        finally:
            connection.terminate()

    def _note(self, entry: Entry) -> None:
        self.journal.write(entry)
        self._remember(entry)

    def _remember(self, entry: Entry) -> None:
        if entry.did in ("emitted", "joined") and entry.trigger:
            self.triggers.append(entry.trigger)
            self.runs.extend(entry.runs)

    def _chance(self, op: int) -> random.Random:
        return random.Random(f"{self.seed} {op}")  # noqa: S311 - no secret


async def work(errand: Errand, stopping: asyncio.Event, ready: Callable[[], None]) -> None:
    """Emit until told to stop."""
    engine = make_engine(errand.dsn, errand.address, errand.effects)
    await start(engine, worker=False)
    ready()
    journal = Journal(errand.folder / "journal")
    emitter = Emitter(engine, journal, dsn=errand.dsn, seed=errand.seed)
    await emitter.work(rate=errand.rate, stopping=stopping)
    await engine.stop()
