"""Signals that handlers emit: each stored once, and their number bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from pulse_temporal.errors import SignalError
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.postgres.connection import Connection
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.signals.emit import Emitter
from pulse_temporal.store import triggers
from pulse_temporal.store.claims import ClaimedRun
from pulse_temporal.store.triggers import Cause, NewTrigger

DIGEST_CHARS = 32
"""Length of the content's hash within the key of a signal that has no key of its own."""


class StepEmits:
    """The signals of one delivery of a step.

    A signal with an idempotency key of its own is the tenant's signal of that key, as if emitted
    by the application. Any other gets a key that a repeated delivery makes again: run, path,
    type, content, and its number among equal ones. So each signal is stored once, even if the
    repetition emits in another order (``tests/acceptance/test_chaining_keys.py``).

    Args:
        emitter: Stores the signals.
        run: The run whose handler emits.
        trigger: The signal that started that run.
        path: The step's path in the run.
    """

    def __init__(
        self, emitter: Emitter, *, run: ClaimedRun, trigger: TriggerEnvelope, path: str
    ) -> None:
        self.emitter = emitter
        self.run = run
        self.path = path
        self.cause: Cause = Cause(
            run_id=run.id,
            root_trigger_id=trigger.root_trigger_id or trigger.id,
            depth=trigger.depth + 1,
            is_replay=run.is_replay,
        )
        self._seen: Counter[str] = Counter()

    def new(self, signal: TriggerInput | Mapping[str, object]) -> NewTrigger:
        """Check a handler's signal and return it with its key; call this once for each emit.

        Called again for a repeated ``store``, it would count the signal as another equal one.

        Raises:
            SignalError: The signal is refused, names another tenant, or the chain of signals
                is too long.
            JsonValueError: The payload is not canonical JSON, or is too large.
        """
        parsed = self.emitter.intake.parse_for(signal, tenant_id=self.run.tenant_id)
        limit = self.emitter.options.limits.chain_depth
        if self.cause.depth > limit and not self.run.is_dry_run:
            raise SignalError(
                f"Signal {parsed.type!r} is number {self.cause.depth} in a chain of signals that "
                f"cause each other; at most {limit} are accepted. "
                "Do two workflows start each other?"
            )
        trigger = self.emitter.intake.prepare(parsed, cause=self.cause)
        if parsed.idempotency_key is not None:
            return trigger
        digest = trigger.request_hash[:DIGEST_CHARS]
        prefix = f"chain:{self.run.id}:{self.path}:{parsed.type}:{digest}"
        key = f"{prefix}:{self._seen[prefix]}"
        self._seen[prefix] += 1
        return replace(trigger, signal=parsed.model_copy(update={"idempotency_key": key}))

    async def store(
        self, trigger: NewTrigger, *, connection: Connection | None
    ) -> TriggerEnvelope:
        """Store a signal that ``new`` returned; once, however often this is called.

        Args:
            trigger: The signal.
            connection: Of a transactional action, whose transaction the signal joins; or None.

        Returns:
            The stored signal; in a dry run what would have been emitted, of which nothing is
            stored.

        Raises:
            SignalError: The first signal of the chain has already caused too many.
            IdempotencyConflictError: The handler's key stands for other content.
        """
        if self.run.is_dry_run:
            return self._unsent(trigger.signal)
        if connection is None:
            async with self.emitter.database.session() as session:
                await self._check_number(session, trigger)
        else:  # with a second connection while this one is held, a pool could run out of them
            await self._check_number(await self.emitter.database.join(connection), trigger)
        return await self.emitter.writer.store(trigger, connection=connection)

    async def _check_number(self, session: Session, trigger: NewTrigger) -> None:
        """Raise SignalError if the chain has too many signals; its depth has a limit of its own.

        Signals that are counted at the same moment may exceed the limit by a little.
        """
        limit = self.emitter.options.limits.chain_signals
        root = self.cause.root_trigger_id
        caused = await triggers.count_caused(
            session, tenant_id=self.run.tenant_id, root_trigger_id=root, limit=limit
        )
        if caused < limit:
            return
        # A repetition of a signal that was the last within the limit must still find it.
        key = trigger.key
        if key is None or key not in await triggers.find_by_keys(session, [key]):
            raise SignalError(
                f"Signal {trigger.signal.type!r} is one too many: trigger {root} has caused "
                f"{limit} signals already, which is what limits.chain_signals allows."
            )

    def _unsent(self, signal: TriggerInput) -> TriggerEnvelope:
        """Return the envelope of a signal that a dry run would have emitted."""
        return TriggerEnvelope.model_construct(
            **dict(signal),
            id=new_id("trg"),
            created_at=self.run.updated_at,
            caused_by_run_id=self.run.id,
            is_replay=True,
        )
