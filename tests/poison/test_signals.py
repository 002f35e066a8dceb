"""A poisoned signal is carried unchanged or refused with its place, and then nothing is stored."""

from __future__ import annotations

import asyncpg
import pytest
from pydantic import BaseModel, field_validator, model_validator

from pulse_temporal import InvalidInputError, JsonValueError, PayloadError, SignalError
from tests.harness import SOURCE, TENANT, PulseTest
from tests.poison.conftest import stored
from tests.poison.corpus import BAD_NAMES, CARRIED, CONVERTED, ODD_NAMES, REFUSED

SIGNAL = {"tenantId": TENANT, "source": SOURCE, "type": "poison"}
NAMES = ("tenantId", "source", "type", "resourceType", "environment", "idempotencyKey")


class Fussy(BaseModel):
    """A schema whose own code fails."""

    how: str

    @model_validator(mode="after")
    def look(self) -> Fussy:
        if self.how == "exhausted":
            raise RecursionError
        raise RuntimeError("4711-0815")


class Wordy(BaseModel):
    """A schema that says too much, and what no text can hold."""

    rows: list[int]
    word: str = ""

    @field_validator("word")
    @classmethod
    def refuse(cls, word: str) -> str:
        raise ValueError("\ud800" if word == "surrogate" else "no\0" * 10**6)


@pytest.fixture(scope="module", autouse=True)
async def _registered(poisoned: PulseTest) -> None:
    poisoned.signal("poison")
    engine = poisoned.engine
    engine.register_trigger("fussy", source=SOURCE, payload_schema=Fussy)
    engine.register_trigger("wordy", source=SOURCE, payload_schema=Wordy)


@pytest.mark.parametrize("name", [*CARRIED, *CONVERTED])
async def test_a_payload_is_read_back_equal_and_can_be_sent_again(
    poisoned: PulseTest, name: str
) -> None:
    """What was read is the same signal to an idempotency key: nothing drifts from hand to hand."""
    value, expected = CONVERTED[name] if name in CONVERTED else (CARRIED[name], CARRIED[name])
    signal = {**SIGNAL, "idempotencyKey": f"carried {name}"}

    trigger = await poisoned.engine.emit({**signal, "payload": {"v": value}})

    read = await poisoned.engine.get_trigger(trigger.id)
    assert read is not None
    assert read.payload == {"v": expected}
    assert type(read.payload["v"]) is type(expected) or name in {"1e16", "2**60 as a float"}
    again = await poisoned.engine.emit({**signal, "payload": read.payload})
    assert (again.id, again.duplicate) == (trigger.id, True)


@pytest.mark.parametrize("name", REFUSED)
async def test_a_payload_is_refused_and_names_the_place(
    poisoned: PulseTest, database_of: asyncpg.Connection, name: str
) -> None:
    make, says = REFUSED[name]
    before = await stored(database_of)

    with pytest.raises(JsonValueError) as caught:
        await poisoned.engine.emit({**SIGNAL, "payload": {"v": make()}})

    assert str(caught.value).startswith("payload")
    assert says in str(caught.value)
    assert len(str(caught.value)) < 1_000
    assert await stored(database_of) == before


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refused_emit_leaves_the_callers_transaction_usable(
    poisoned: PulseTest, database_of: asyncpg.Connection, name: str
) -> None:
    make, _ = REFUSED[name]
    before = await stored(database_of)

    async with poisoned.engine.transaction() as connection:
        with pytest.raises(JsonValueError):
            await poisoned.engine.emit({**SIGNAL, "payload": {"v": make()}}, connection=connection)
        kept = await poisoned.engine.emit(SIGNAL, connection=connection)

    assert await poisoned.engine.get_trigger(kept.id) is not None
    assert await stored(database_of) == before + 1


@pytest.mark.parametrize("field", [*NAMES, "resourceId"])
@pytest.mark.parametrize("name", BAD_NAMES)
async def test_a_bad_name_is_refused_in_every_field(
    poisoned: PulseTest, database_of: asyncpg.Connection, field: str, name: str
) -> None:
    before = await stored(database_of)

    with pytest.raises(SignalError) as caught:
        await poisoned.engine.emit({**SIGNAL, field: BAD_NAMES[name]})

    assert f"/{field}: must " in str(caught.value)
    assert len(str(caught.value)) < 1_000
    assert await stored(database_of) == before


@pytest.mark.parametrize(
    "signal",
    [None, 7, "x", b"x", [1], {1: 2}, {10**5_000: 1}],
    ids=["None", "number", "text", "bytes", "list", "number as key", "huge key"],
)
async def test_what_is_no_signal_is_refused(poisoned: PulseTest, signal: object) -> None:
    with pytest.raises(SignalError, match="malformed"):
        await poisoned.engine.emit(signal)  # pyright: ignore[reportArgumentType] - no signal


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_a_model_that_was_changed_without_a_check_is_checked(
    poisoned: PulseTest, database_of: asyncpg.Connection, name: str
) -> None:
    """``model_copy`` checks nothing."""
    trigger = await poisoned.engine.emit(SIGNAL)
    before = await stored(database_of)

    with pytest.raises(SignalError, match="/tenant_id: must "):
        await poisoned.engine.emit(trigger.model_copy(update={"tenant_id": BAD_NAMES[name]}))

    assert await stored(database_of) == before


async def test_a_stored_signal_can_be_emitted_again(poisoned: PulseTest) -> None:
    """An envelope is a signal with more fields; a new signal is made of it."""
    first = await poisoned.engine.emit({**SIGNAL, "payload": {"n": 1}})

    second = await poisoned.engine.emit(first)

    assert second.id != first.id
    assert second.payload == {"n": 1}


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_an_odd_name_goes_through_a_whole_run(poisoned: PulseTest, name: str) -> None:
    """As tenant, type, source, resource, environment, key, definition, step and handler."""
    text = ODD_NAMES[name]
    engine = poisoned.engine
    act = poisoned.action(text, returns={text: text})
    poisoned.condition(text)
    engine.register_trigger(text, source=text, resource_type=text)
    steps: list[dict[str, object]] = [
        {"type": "action", "name": text, "config": {text: text}},
        {"type": "condition", "name": f"1{text[1:]}", "uses": text},
        {"type": "delay", "name": f"2{text[1:]}", "delayMs": 1},
        {
            "type": "parallel",
            "name": f"3{text[1:]}",
            "branches": [
                [{"type": "action", "name": f"{n}{text[1:]}", "uses": text, "timeoutMs": ms}]
                for n, ms in ((4, 1_000), (5, 60_000))
            ],
        },
    ]
    definition = await engine.create_workflow(
        {
            "tenantId": text,
            "name": text,
            "description": text,
            "triggerType": text,
            "environmentFilter": text,
            "resourceTypeFilter": text,
            "config": {text: text},
            "steps": steps,
        }
    )

    trigger = await engine.emit(
        {
            **dict.fromkeys((*NAMES, "resourceId"), text),
            "payload": {text: text},
        }
    )
    (run_id,) = trigger.run_ids
    run = await engine.wait_for_run(run_id, tenant_id=text)

    assert (run.status, act.call_count) == ("completed", 3)
    assert run.context[text] == {text: text}
    assert (await engine.list_workflows(tenant_id=text)).items == (definition,)
    assert [entry.type for entry in await engine.get_run_timeline(run_id)][-1] == "run_completed"


@pytest.mark.parametrize(
    ("type_", "payload", "says"),
    [
        ("fussy", {"how": "raises"}, "could not be checked: its schema Fussy raised RuntimeError"),
        ("fussy", {"how": "exhausted"}, "its schema Fussy raised RecursionError"),
        ("wordy", {"rows": ["x"] * 50_000}, "and more"),
        ("wordy", {"rows": [], "word": "long"}, "/word: Value error, no\ufffd"),
        ("wordy", {"rows": [], "word": "surrogate"}, "raised UnicodeEncodeError"),
    ],
    ids=["raises", "recursion", "50 000 reasons", "3 MB reason", "surrogate"],
)
async def test_a_schema_that_misbehaves_refuses_the_payload(
    poisoned: PulseTest,
    database_of: asyncpg.Connection,
    type_: str,
    payload: dict[str, object],
    says: str,
) -> None:
    before = await stored(database_of)

    with pytest.raises(PayloadError) as caught:
        await poisoned.emit(type_, payload)

    assert says in str(caught.value)
    assert "4711-0815" not in str(caught.value)
    assert len(str(caught.value)) < 9_000
    assert isinstance(caught.value, InvalidInputError)
    assert await stored(database_of) == before
