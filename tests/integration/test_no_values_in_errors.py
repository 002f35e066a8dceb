"""No public error shows what it was given: neither its text, nor the errors it is chained to."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Annotated

import asyncpg
import pytest
from pydantic import AfterValidator, BaseModel, model_serializer, model_validator

from pulse_temporal import (
    ConfigurationError,
    DefinitionError,
    EmitBusyError,
    EngineOptions,
    IdempotencyConflictError,
    InvalidInputError,
    JsonValueError,
    PayloadError,
    PulseError,
    SignalError,
    TransactionFailedError,
    UnknownSignalError,
    create_engine,
)
from tests.harness import SOURCE, TENANT, PulseTest, make_pulse

CANARY = "canary-4929-1234"
KEY = "order-1"


def shown(error: BaseException) -> str:
    """Return all that a log or a tool for errors could show of an error and its chain."""
    return "\n".join([*traceback.format_exception(error), *_chain(error, seen=set())])


def _chain(error: BaseException | None, *, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield f"{error!s} {error!r} {error.args!r} {_attributes(error)!r}"
    yield from _chain(error.__cause__, seen=seen)
    yield from _chain(error.__context__, seen=seen)


def _attributes(error: BaseException) -> dict[str, object]:
    return dict(vars(error)) if hasattr(error, "__dict__") else {}


def quoting(value: object) -> object:
    """Fail as a careless validator does: with the value in the error."""
    raise KeyError(value)


class Strict(BaseModel):
    """An application's schema that refuses payloads in several ways."""

    number: int = 0
    custom: Annotated[object, AfterValidator(quoting)] = None


class Broken(BaseModel):
    """A schema whose own code fails."""

    card: str = ""

    @model_validator(mode="before")
    @classmethod
    def _fail(cls, value: object) -> object:
        try:
            return quoting(value)
        except KeyError as error:
            raise RuntimeError(f"cannot check {value}") from error


class Unreadable(BaseModel):
    """A value that cannot be written as JSON, and says with what in it."""

    @model_serializer
    def _fail(self) -> dict[str, object]:
        raise ValueError(CANARY)


def signal(**fields: object) -> dict[str, object]:
    """Return a signal with a secret in one place."""
    return {"tenantId": TENANT, "source": SOURCE, "type": "t", **fields}


def definition(**fields: object) -> dict[str, object]:
    """Return a definition with a secret in one place."""
    steps = [{"type": "action", "name": "a", "config": {"token": CANARY}}]
    return {"tenantId": TENANT, "name": "n", "triggerType": "t", "steps": steps, **fields}


async def refused(pulse: PulseTest, call: Callable[[PulseTest], Awaitable[object]]) -> PulseError:
    """Return the error that a call ends with."""
    engine = pulse.engine
    engine.register_trigger("t", source=SOURCE)
    engine.register_trigger("strict", source=SOURCE, payload_schema=Strict)
    engine.register_trigger("broken", source=SOURCE, payload_schema=Broken)
    engine.register_action("a", lambda _: None)
    with pytest.raises(PulseError) as raised:
        await call(pulse)
    return raised.value


async def _conflict(pulse: PulseTest) -> None:
    for card in ("other", CANARY):
        await pulse.engine.emit(signal(payload={"card": card}, idempotencyKey=KEY))


async def _deferred(pulse: PulseTest) -> None:
    async with pulse.engine.transaction() as connection:
        await connection.execute(
            "CREATE TABLE cards (number text UNIQUE DEFERRABLE INITIALLY DEFERRED)"
        )
        await connection.execute("INSERT INTO cards VALUES ($1), ($1)", CANARY)


async def _busy(pulse: PulseTest) -> None:
    other = await asyncpg.connect(pulse.dsn)
    try:
        async with other.transaction():
            await pulse.engine.emit(
                signal(payload={"card": CANARY}, idempotencyKey=KEY), connection=other
            )
            second = make_pulse(
                pulse.dsn,
                pulse.temporal_address,
                like=pulse,
                postgres_timeout=timedelta(milliseconds=500),
            )
            second.signal("t")
            try:
                await second.engine.emit(signal(payload={"card": CANARY}, idempotencyKey=KEY))
            finally:
                await second.engine.stop()
    finally:
        await other.close()


Call = Callable[[PulseTest], Awaitable[object]]

CALLS: dict[str, tuple[type[PulseError], Call]] = {
    "a signal's field": (
        SignalError,
        lambda pulse: pulse.engine.emit(signal(resourceId={"card": CANARY})),
    ),
    "a signal's unknown field": (
        SignalError,
        lambda pulse: pulse.engine.emit(signal(card=CANARY)),
    ),
    "an unknown type": (
        UnknownSignalError,
        lambda pulse: pulse.engine.emit(signal(type="unknown", payload={"card": CANARY})),
    ),
    "a payload that a schema refuses": (
        PayloadError,
        lambda pulse: pulse.engine.emit(signal(type="strict", payload={"number": CANARY})),
    ),
    "a payload that a validator quotes": (
        PayloadError,
        lambda pulse: pulse.engine.emit(signal(type="strict", payload={"custom": CANARY})),
    ),
    "a schema that fails": (
        PayloadError,
        lambda pulse: pulse.engine.emit(signal(type="broken", payload={"card": CANARY})),
    ),
    "a payload that is no JSON": (
        JsonValueError,
        lambda pulse: pulse.engine.emit(signal(payload={"card": {CANARY}})),
    ),
    "a payload that cannot be read": (
        JsonValueError,
        lambda pulse: pulse.engine.emit(signal(payload={"card": Unreadable()})),
    ),
    "a list of signals": (
        PayloadError,
        lambda pulse: pulse.engine.emit_many(
            [signal(), signal(type="strict", payload={"number": CANARY})]
        ),
    ),
    "a list with a value that is no JSON": (
        JsonValueError,
        lambda pulse: pulse.engine.emit_many([signal(), signal(payload={"card": {CANARY}})]),
    ),
    "a key that was used": (IdempotencyConflictError, _conflict),
    "a key that is in use": (EmitBusyError, _busy),
    "a definition's field": (
        DefinitionError,
        lambda pulse: pulse.engine.create_workflow(definition(isEnabled=CANARY)),
    ),
    "a definition's config": (
        DefinitionError,
        lambda pulse: pulse.engine.create_workflow(definition(config={"card": {CANARY}})),
    ),
    "a definition's update": (
        PulseError,
        lambda pulse: pulse.engine.update_workflow("wfd_1", {"config": {"card": {CANARY}}}),
    ),
    "an id that is no text": (
        InvalidInputError,
        lambda pulse: pulse.engine.get_run("\ud800" + CANARY),
    ),
    "an id with NUL": (InvalidInputError, lambda pulse: pulse.engine.get_run("\0" + CANARY)),
    "a cursor": (
        InvalidInputError,
        lambda pulse: pulse.engine.list_workflows(tenant_id=TENANT, limit=5, cursor="\0"),
    ),
    "a constraint at the commit": (TransactionFailedError, _deferred),
}
"""What the public API can be given: the error that comes, and the call that hides a secret."""


@pytest.mark.parametrize("what", CALLS)
async def test_no_error_shows_a_value(pulse: PulseTest, what: str) -> None:
    kind, call = CALLS[what]
    error = await refused(pulse, call)
    assert isinstance(error, kind)
    assert CANARY not in shown(error)


async def test_what_a_schema_refuses_is_still_told(pulse: PulseTest) -> None:
    """Without the value, a person needs the place, and where the schema's code failed."""
    _, call = CALLS["a payload that a schema refuses"]
    assert "/number" in str(await refused(pulse, call))


async def test_where_a_schema_fails_is_told(pulse: PulseTest) -> None:
    _, call = CALLS["a schema that fails"]
    told = str(await refused(pulse, call))
    assert "RuntimeError" in told
    assert "test_no_values_in_errors.py" in told


def test_options_are_not_repeated() -> None:
    for options in ({"concurrency": CANARY}, {"limits": {"steps": CANARY}}):
        with pytest.raises(ConfigurationError) as raised:
            create_engine("postgresql://localhost/pulse", **options)  # pyright: ignore[reportArgumentType] - what a mistake looks like
        assert CANARY not in shown(raised.value)
    with pytest.raises(ValueError, match="concurrency") as refused_by_model:
        EngineOptions.model_validate({"concurrency": CANARY})
    assert CANARY not in "".join(traceback.format_exception(refused_by_model.value))


def test_a_registration_is_not_repeated(pulse: PulseTest) -> None:
    with pytest.raises(ConfigurationError) as raised:
        pulse.engine.register_trigger("x", source=[CANARY])  # pyright: ignore[reportArgumentType] - what a mistake looks like
    assert CANARY not in shown(raised.value)
