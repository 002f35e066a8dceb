"""Reading definition snapshots: ours at one go, others with care, all to the same value."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_temporal.errors import NotUnderstoodError
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.store.snapshots import ADOPTED, snapshot

STEPS: list[dict[str, object]] = [
    {"type": "condition", "name": "large", "uses": "is_large", "onFalse": 2, "config": {"at": 9}},
    {"type": "action", "name": "charge", "retryPolicy": {"maxAttempts": 3, "backoffMs": 100}},
    {"type": "delay", "name": "pause", "delayMs": 5},
    {
        "type": "parallel",
        "name": "both",
        "branches": [[{"type": "action", "name": "a"}], [{"type": "action", "name": "b"}]],
    },
]
NUMBERS = (
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([2.0**63, -(2.0**64), 1e30, 0.1])
)
OURS: dict[str, object] = {
    "name": "n",
    "triggerType": "t",
    "definitionId": "wfd_1",
    "steps": STEPS,
}


def stored(rate: float) -> str:
    """Return a snapshot as Postgres writes it: whole numbers in digits, and no exponent."""
    digits = str(int(rate)) if float(rate).is_integer() else f"{Decimal(repr(rate)):f}"
    return json.dumps(OURS | {"config": {"rate": "RATE"}}).replace('"RATE"', digits)


@given(NUMBERS)
def test_a_snapshot_is_read_as_it_was_stored(number: float) -> None:
    ours = OURS | {"config": {"rate": number}}
    read = snapshot(stored(number))
    assert read == DefinitionSnapshot.model_validate(ours)
    assert read.config["rate"] == number


@pytest.mark.parametrize("number", [2.0**63, -(2.0**64), 1e30])
def test_a_number_beyond_integers_is_read_as_a_float(number: float) -> None:
    (rate,) = snapshot(stored(number)).config.values()
    assert isinstance(rate, float)


def test_fields_of_a_later_version_are_never_dropped() -> None:
    """It may change what the run does."""
    with pytest.raises(NotUnderstoodError, match="priority"):
        snapshot(json.dumps(OURS | {"priority": 3}))


@pytest.mark.parametrize("text", ['{"steps": []}', '{"steps": [], "name": "kept"}'])
def test_missing_fields_of_a_foreign_row_are_marked(text: str) -> None:
    read = snapshot(text)
    assert read.name == json.loads(text).get("name", ADOPTED)
    assert (read.trigger_type, read.definition_id, read.steps) == (ADOPTED, "", [])
