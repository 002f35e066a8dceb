"""``engine.signals``: emit signals, read them, run them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pulse_temporal.engine.operations import Awaited, Blocking, operation
from pulse_temporal.engine.scope import TenantScope
from pulse_temporal.engine.signal_views import SignalViewMethods
from pulse_temporal.model.explain import Explanation
from pulse_temporal.model.runs import WorkflowRun
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.postgres.connection import Connection
from pulse_temporal.services.signals.many import emit_many
from pulse_temporal.services.signals.replay import replay


class SignalMethods(SignalViewMethods):
    """Postgres alone is asked; what is planned starts when a worker and Temporal are there."""

    @operation
    async def emit(
        self,
        signal: TriggerInput | Mapping[str, object],
        *,
        connection: Connection | None = None,
    ) -> TriggerEnvelope:
        """Store a signal and plan a run for every definition that it matches.

        Signal, runs and start commands commit together or not at all; Temporal is not asked.
        The runs start right after the commit, or when Temporal is back.

        Args:
            signal: What happened; a mapping may use camelCase or snake_case. ``payload`` is a
                JSON object of at most ``limits.payload_bytes`` (256 KiB).
            connection: An asyncpg connection of the caller, in a transaction: everything joins
                it, and the runs exist, and start, when the caller commits. Other drivers emit
                with ``SELECT pulse_emit(...)``.

        Returns:
            The stored signal. ``run_ids`` follow the age of the definitions, oldest first. With
            an ``idempotency_key`` that was used before, the first signal, ``duplicate`` set.

        Raises:
            ConfigurationError: ``connection`` is in no transaction, or none of asyncpg.
            UnknownSignalError: The type is not registered.
            SignalMismatchError: Source or resource type differs from the registration.
            SignalLimitError: It would start more runs, or runs with more steps, than
                ``limits.runs_per_signal`` and ``limits.steps_per_signal`` allow.
            PayloadError: The payload does not fit the registered schema.
            JsonValueError: The payload is no canonical JSON, or is too large.
            IdempotencyConflictError: The key was used for other content.
            EmitBusyError: Another open transaction uses the key; emit again.
            PostgresUnavailableError: Postgres does not answer. The message says when it is not
                known whether the signal is stored; with an ``idempotency_key`` emit again.
        """
        return await self._parts.emitter.emit(self._scope.own(signal), connection=connection)

    @operation
    async def emit_many(
        self,
        signals: Sequence[TriggerInput | Mapping[str, object]],
        *,
        connection: Connection | None = None,
    ) -> list[TriggerEnvelope]:
        """Store many signals at once, with a run for every definition that each of them matches.

        All of it commits together or not at all, in one transaction; the rest is as with ``emit``.
        For imports, queues that are read in batches, and whatever else brings many signals.

        Args:
            signals: At most 1 000, of any tenants, whose payloads have at most 16 MiB together.
            connection: An asyncpg connection of the caller, as with ``emit``.

        Returns:
            The stored signals in the order given. Of signals with the same ``idempotency_key``
            the first is stored; for the others, and for keys that were used before, comes the
            signal that the key belongs to, ``duplicate`` set.

        Raises:
            SignalError: One is malformed, or they are too many or too large; its subclasses as
                with ``emit``. ``index`` and the message say which one.
            JsonValueError: A payload is no canonical JSON, or is too large; ``where`` says whose.
            IdempotencyConflictError: A key was used for other content, by one of these too.
            EmitBusyError: Another open transaction uses one of the keys; emit again.
            PostgresUnavailableError: Postgres does not answer. Whether the signals are stored is
                not known when the connection broke; with keys emit again.
        """
        owned = self._scope.own_all(signals)
        return await emit_many(self._parts.emitter, owned, connection=connection)

    @operation
    async def get(
        self, trigger_id: str, *, tenant_id: str | None = None
    ) -> TriggerEnvelope | None:
        """Return a stored signal, or None.

        Args:
            trigger_id: Which signal.
            tenant_id: Narrows to one tenant.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.history.get_trigger(trigger_id, tenant_id=narrowed)

    @operation
    async def replay(
        self,
        trigger_id: str,
        *,
        dry_run: bool = False,
        tenant_id: str | None = None,
        idempotency_key: str | None = None,
        reason: str | None = None,
    ) -> list[WorkflowRun]:
        """Run a stored signal again, with the definitions that match it now.

        Actions that are not ``replay_safe`` are skipped; later steps see the result that the
        original run recorded for them. Signals that these runs emit are marked as replays too.

        Args:
            trigger_id: Which signal.
            dry_run: Only conditions are evaluated; actions and delays are skipped and nothing
                is emitted.
            tenant_id: Narrows to one tenant.
            idempotency_key: A replay that is repeated with the same key, of the tenant, gives the
                runs of the first time instead of new ones. Give one wherever a call may be
                repeated: after an error, or by a button that is pressed twice.
            reason: Why, for the audit; cut at 1 000 bytes.

        Returns:
            The new runs, oldest definition first; empty when nothing matches.

        Raises:
            NotFoundError: There is no such trigger.
            IdempotencyConflictError: The key was used for another replay.
            TransactionInDoubtError: Without an answer to the commit, or the runs are stored and
                could not be read then; the message names them.
        """
        return await replay(
            self._parts.emitter,
            self._parts.history,
            trigger_id,
            tenant_id=self._scope.narrow(tenant_id),
            is_dry_run=dry_run,
            key=idempotency_key,
            reason=reason,
        )

    @operation
    async def explain(
        self, signal: TriggerInput | Mapping[str, object] | str, *, tenant_id: str | None = None
    ) -> Explanation:
        """Return why a signal did or did not start each definition that it might have meant.

        A stored signal is explained as of its own moment: by the runs that it has started, and by
        the versions that definitions had then, so that later changes make no difference. A signal
        that is not stored is explained as of now: what emitting it here would start. Nothing is
        emitted.

        Candidates are the definitions of the tenant that wait for the signal's type, or did; where
        there is none, those that wait for a type like it.

        Args:
            signal: A signal as ``emit`` takes it, or the id of a stored one.
            tenant_id: Narrows to one tenant.

        Returns:
            A verdict for each of at most 200 definitions; the others are counted.

        Raises:
            NotFoundError: There is no such trigger.
            SignalMismatchError: Source or resource type differs from the registration.
            SignalError: A field is missing, unknown or malformed; its subclasses as with ``emit``.
            JsonValueError: The payload is no canonical JSON, or is too large.
        """
        narrowed = self._scope.narrow(tenant_id)
        explainer = self._parts.explainer
        if isinstance(signal, TriggerEnvelope):
            signal = signal.id
        if isinstance(signal, str):
            return await explainer.explain_stored(signal, tenant_id=narrowed)
        return await explainer.explain_new(TenantScope(narrowed).own(signal))


class EngineSignals(SignalMethods, Awaited):
    """``engine.signals``: emit signals, read them, run them again."""


class BlockingSignals(SignalMethods, Blocking):
    """``engine.blocking.signals``: as ``engine.signals``, for code that is not async.

    Emits are in a transaction of their own and take no ``connection``. Code with another
    driver's transaction emits in it with SQL: ``SELECT pulse_emit(...)``.
    """
