"""Check signals before anything is stored, and prepare them for the store."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import (
    PayloadError,
    SignalError,
    SignalMismatchError,
    UnknownSignalError,
)
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.model.canonical import canonical_object, scrub_text
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.plain import failure_of, json_pointer
from pulse_temporal.model.problems import MAX_PROBLEMS, explain, to_problems
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.services.definitions.ticks import tick_owner
from pulse_temporal.services.signals.known import request_hash
from pulse_temporal.store.triggers import Cause, NewTrigger

KEY_PREFIXES = ("cron:", "chain:", "replay:")
"""Prefixes of the idempotency keys that Pulse makes: an application's key must not collide."""

REASONS_BYTES = 8 * 1024
"""Bound on what an application's schema says about one payload."""


class SignalIntake:
    """Checks signals against the registrations of this process, and prepares them."""

    def __init__(self, registry: Registry, options: EngineOptions) -> None:
        self.registry = registry
        self.options = options

    def accept(
        self, signal: TriggerInput | Mapping[str, object], *, index: int | None = None
    ) -> NewTrigger:
        """Check a signal of the application, and return it prepared for the store.

        Args:
            signal: As the application sent it.
            index: Its place in a list that is stored together, for an error about its key.

        Raises:
            SignalError: As ``parse_from_outside`` and ``prepare``.
            JsonValueError: As ``prepare``.
        """
        return self.prepare(self.parse_from_outside(signal), index=index)

    def prepare(
        self, signal: TriggerInput, *, cause: Cause | None = None, index: int | None = None
    ) -> NewTrigger:
        """Return a checked signal in the form in which it is stored, with a new id.

        Args:
            signal: Returned by ``parse_from_outside`` or ``parse_for``.
            cause: The run that emits it; None when the application does.
            index: As for ``accept``.

        Raises:
            PayloadError: The payload does not fit the registered schema.
            JsonValueError: The payload is not canonical JSON, or is too large.
        """
        payload = self._payload(signal)
        registration = self.registry.triggers.get(signal.type)
        if registration is not None and registration.payload_schema is not None:
            _check_payload(registration.payload_schema, payload, type_=signal.type)
        return self._new(signal, payload, cause=cause, index=index)

    def tick(self, signal: TriggerInput, *, owner: str) -> NewTrigger:
        """Return the signal of a cron tick prepared, without a look at the registrations.

        Args:
            signal: Has the nominal time in its payload and its idempotency key, so a tick that
                is delivered twice is one signal.
            owner: Id of the definition whose cron ticked. It matches, and so do definitions
                without a cron of their own.
        """
        return self._new(signal, self._payload(signal), owner=owner)

    def replay(self, trigger: TriggerEnvelope, *, is_dry_run: bool) -> NewTrigger:
        """Return a stored signal prepared for more runs; the signal itself is not stored again."""
        fields = {name: getattr(trigger, name) for name in TriggerInput.model_fields}
        return NewTrigger(
            id=trigger.id,
            signal=TriggerInput.model_construct(**fields),
            payload="{}",
            request_hash="",
            task_queue=self.options.task_queue,
            owner=tick_owner(trigger),
            is_stored=True,
            is_dry_run=is_dry_run,
            most_runs=self.options.limits.runs_per_signal,
            most_steps=self.options.limits.steps_per_signal,
        )

    def parse_from_outside(self, signal: TriggerInput | Mapping[str, object]) -> TriggerInput:
        """Check a signal of the application, whose key must not look like one of Pulse's.

        Raises:
            SignalError: As ``parse``, or the key is reserved.
        """
        parsed = self.parse(signal)
        _refuse_our_keys(parsed.idempotency_key)
        return parsed

    def parse_for(
        self, signal: TriggerInput | Mapping[str, object], *, tenant_id: str
    ) -> TriggerInput:
        """Check a handler's signal; it may leave the tenant out, but not name another one.

        Raises:
            SignalError: As ``parse_from_outside``, or the signal names another tenant.
        """
        if isinstance(signal, Mapping):
            has_tenant = "tenantId" in signal or "tenant_id" in signal
            signal = signal if has_tenant else {"tenantId": tenant_id, **signal}
        parsed = self.parse_from_outside(signal)
        if parsed.tenant_id != tenant_id:
            raise SignalError(
                f"A handler may only emit for its run's tenant {tenant_id!r}, "
                f"not for {parsed.tenant_id!r}."
            )
        return parsed

    def parse(self, signal: TriggerInput | Mapping[str, object]) -> TriggerInput:
        """Check a signal's fields and its registration; ``prepare`` checks the payload.

        Raises:
            SignalError: A field is missing, unknown or malformed.
            UnknownSignalError: Its type is not registered.
            SignalMismatchError: Source or resource type differs from the registration.
        """
        fields = _fields(signal) if isinstance(signal, TriggerInput) else signal
        try:
            parsed = TriggerInput.model_validate(fields)
        except ValidationError as error:
            reasons = _reasons(error, fields)
        else:
            self._check_registration(parsed)
            return parsed
        raise SignalError(f"The signal is malformed: {reasons}")

    def _payload(self, signal: TriggerInput) -> str:
        """Return the payload as canonical JSON text; raise JsonValueError if it is none."""
        limit = self.options.limits.payload_bytes
        return canonical_object(signal.payload, where="payload", max_bytes=limit)

    def _new(
        self,
        signal: TriggerInput,
        payload: str,
        *,
        cause: Cause | None = None,
        owner: str | None = None,
        index: int | None = None,
    ) -> NewTrigger:
        return NewTrigger(
            id=new_id("trg"),
            signal=signal,
            payload=payload,
            request_hash=request_hash(signal, payload),
            task_queue=self.options.task_queue,
            cause=cause,
            owner=owner,
            index=index,
            most_runs=self.options.limits.runs_per_signal,
            most_steps=self.options.limits.steps_per_signal,
        )

    def _check_registration(self, signal: TriggerInput) -> None:
        registration = self.registry.triggers.get(signal.type)
        if registration is None:
            if self.options.unregistered_signals == "accept":
                return
            hint = self.registry.suggestion(signal.type)
            raise UnknownSignalError(f"Signal type {signal.type!r} is not registered.{hint}")
        if signal.source != registration.source:
            raise SignalMismatchError(
                f"Signals of type {signal.type!r} come from source {registration.source!r}, "
                f"not {signal.source!r}."
            )
        expected = registration.resource_type
        if expected is not None and signal.resource_type != expected:
            raise SignalMismatchError(
                f"Signals of type {signal.type!r} are about resource type {expected!r}, "
                f"not {signal.resource_type!r}."
            )


def _refuse_our_keys(key: str | None) -> None:
    if key is not None and key.startswith(KEY_PREFIXES):
        raise SignalError(
            f"idempotencyKey must not begin with {', '.join(KEY_PREFIXES)}: "
            "those keys belong to Pulse."
        )


def _reasons(error: ValidationError, data: Mapping[str, object]) -> str:
    """Return what is wrong with a signal: JSON pointers and hints, but none of its values."""
    problems = to_problems(explain(error, data=data, model=TriggerInput), data=data)
    return "; ".join(str(problem) for problem in problems)


def _fields(signal: TriggerInput) -> Mapping[str, object]:
    """Return the fields of a signal, to check them: ``model_copy`` and the like do not."""
    names = TriggerInput.model_fields
    return {name: value for name, value in vars(signal).items() if name in names}


def _check_payload(schema: type[BaseModel], text: str, *, type_: str) -> None:
    """Check a payload against an application's schema.

    Raises:
        PayloadError: The schema refuses the payload, or its own code fails. What it raised is
            not chained, as it quotes the payload.
    """
    try:
        schema.model_validate_json(text)
    except ValidationError as error:
        refusal = f"does not fit its schema: {_payload_reasons(error)}"
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything
        refusal = f"could not be checked: its schema {schema.__name__} raised {failure_of(error)}."
    else:
        return
    raise PayloadError(f"The payload of {type_!r} {refusal}")


def _payload_reasons(error: ValidationError) -> str:
    """Return what an application's schema refuses, without values, which may be secrets."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    reasons = [
        f"{json_pointer(problem['loc']) or '/'}: {problem['msg']}"
        for problem in found[:MAX_PROBLEMS]
    ]
    if len(found) > MAX_PROBLEMS:
        reasons.append("… and more")
    return scrub_text("; ".join(reasons), max_bytes=REASONS_BYTES)
