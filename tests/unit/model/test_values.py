"""Signals, steps and definitions: spelling, strictness, and what is written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from pulse_temporal.model.definitions import DefinitionSnapshot, WorkflowDefinition, WorkflowInput
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput, TriggerRegistration
from pulse_temporal.model.steps import (
    STEP_MODELS,
    ActionStep,
    ConditionStep,
    DelayStep,
    ParallelStep,
    RetryPolicy,
    StepType,
    WorkflowStep,
    walk,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)

names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)
policies = st.fixed_dictionaries(
    {
        "max_attempts": st.integers(1, 10),
        "backoff_ms": st.integers(100, 300_000),
        "backoff_coefficient": st.floats(1, 10),
        "max_backoff_ms": st.none() | st.integers(100, 86_400_000),
    }
).map(RetryPolicy.model_validate)
handler_fields: dict[str, st.SearchStrategy[object]] = {
    "name": names,
    "uses": st.none() | names,
    "config": st.none() | st.dictionaries(names, st.integers(-9, 9), max_size=3),
    "retry_policy": st.none() | policies,
    "timeout_ms": st.none() | st.integers(1, 86_400_000),
}
answers = st.sampled_from(["complete", "skip"]) | st.integers(1, 9)
waits = {"name": names, "delay_ms": st.integers(1, 2_592_000_000)}
leaves: st.SearchStrategy[WorkflowStep] = st.one_of(
    st.fixed_dictionaries(handler_fields).map(ActionStep.model_validate),
    st.fixed_dictionaries({**handler_fields, "on_false": answers}).map(
        ConditionStep.model_validate
    ),
    st.fixed_dictionaries(waits).map(DelayStep.model_validate),
)


def blocks(inner: st.SearchStrategy[WorkflowStep]) -> st.SearchStrategy[WorkflowStep]:
    branches = st.lists(st.lists(inner, min_size=1, max_size=3), min_size=2, max_size=3)
    fields = st.fixed_dictionaries({"name": names, "branches": branches})
    return fields.map(ParallelStep.model_validate)


steps: st.SearchStrategy[WorkflowStep] = st.recursive(leaves, blocks, max_leaves=10)
inputs = st.fixed_dictionaries(
    {
        "tenant_id": names,
        "name": names,
        "description": st.none() | st.just("two\nlines"),
        "trigger_type": names,
        "environment_filter": st.none() | names,
        "steps": st.lists(steps, max_size=4),
        "config": st.dictionaries(names, st.lists(st.booleans()), max_size=2),
        "is_enabled": st.booleans(),
    }
).map(WorkflowInput.model_validate)


@given(inputs, st.booleans())
def test_a_definition_reads_back_from_either_spelling(
    definition: WorkflowInput, by_alias: bool
) -> None:
    written = definition.model_dump(mode="json", by_alias=by_alias)
    assert ("tenantId" in written) is by_alias
    assert WorkflowInput.model_validate(written) == definition


def test_unset_fields_of_a_step_are_not_written() -> None:
    step = ConditionStep(name="c", timeout_ms=5)
    assert step.model_dump(mode="json") == {
        "type": "condition",
        "name": "c",
        "timeoutMs": 5,
        "onFalse": "complete",
    }


def test_every_kind_of_step_has_a_model() -> None:
    assert set(STEP_MODELS) == set(get_args(StepType))


@given(st.lists(steps, max_size=4))
def test_walking_gives_every_step_once_in_document_order(tree: list[WorkflowStep]) -> None:
    walked = list(walk(tree))
    paths = [path for path, _ in walked]
    assert len(set(paths)) == len(paths)
    assert [(path, step) for path, step in walked if "/" not in path] == [
        (str(index), step) for index, step in enumerate(tree)
    ]
    for path, step in walked:
        if isinstance(step, ParallelStep):
            inner = [
                (f"{path}/b{branch}/{index}", child)
                for branch, children in enumerate(step.branches)
                for index, child in enumerate(children)
            ]
            assert [pair for pair in walked if pair in inner] == inner
            assert paths.index(path) < paths.index(inner[0][0])


def test_a_handler_is_named_by_uses_before_the_name() -> None:
    assert ActionStep(name="mail_owner", uses="send_mail").handler == "send_mail"
    assert ConditionStep(name="is_due").handler == "is_due"


@pytest.mark.parametrize("on_false", [True, False, 0, -1, 1.0, "2", "stop", None, []])
def test_on_false_takes_two_words_or_a_positive_number(on_false: object) -> None:
    with pytest.raises(ValidationError, match='"complete", "skip" or the number'):
        ConditionStep.model_validate({"type": "condition", "name": "c", "onFalse": on_false})


@pytest.mark.parametrize(
    "field",
    [
        {"maxAttempts": 0},
        {"maxAttempts": 11},
        {"maxAttempts": True},
        {"backoffMs": 99},
        {"backoffMs": 300_001},
        {"backoffMs": 500.0},
        {"backoffCoefficient": 0.9},
        {"backoffCoefficient": float("nan")},
        {"maxBackoffMs": 86_400_001},
        {"jitter": 1},
    ],
)
def test_a_retry_policy_keeps_its_bounds(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RetryPolicy.model_validate({"maxAttempts": 3, "backoffMs": 500, **field})


@pytest.mark.parametrize(
    "step",
    [
        {"type": "delay", "name": "d", "delayMs": 0},
        {"type": "delay", "name": "d", "delayMs": "5"},
        {"type": "action", "name": "a", "timeoutMs": 86_400_001},
        {"type": "action", "name": "", "timeoutMs": 1},
        {"type": "action", "name": "a\n"},
        {"type": "action", "name": "x" * 201},
        {"type": "parallel", "name": "p", "branches": [[{"type": "action", "name": "a"}]]},
        {"type": "parallel", "name": "p", "branches": [[{"type": "action", "name": "a"}], []]},
        {"name": "a"},
    ],
)
def test_a_step_keeps_its_bounds(step: object) -> None:
    adapter: TypeAdapter[WorkflowStep] = TypeAdapter(WorkflowStep)
    with pytest.raises(ValidationError):
        adapter.validate_python(step)


@pytest.mark.parametrize("bad", ["", "x" * 201, "a\0", "a\x1b[31m", "a\x85", "\ud800", b"acme", 5])
@pytest.mark.parametrize("field", ["tenant_id", "source", "type", "idempotency_key"])
def test_names_are_one_clean_line(field: str, bad: object) -> None:
    with pytest.raises(ValidationError):
        TriggerInput.model_validate(
            {"tenant_id": "acme", "source": "shop", "type": "order.paid", field: bad}
        )


def test_a_signal_is_written_in_camel_case_and_reads_back() -> None:
    signal = TriggerEnvelope(
        tenant_id="acme",
        source="shop",
        type="order.paid",
        resource_id="r" * 400,
        payload={"any": [1]},
        id="trg_1",
        created_at=NOW,
        run_ids=("run_1",),
    )
    written = signal.model_dump(mode="json")
    assert (written["tenantId"], written["runIds"], written["isReplay"]) == (
        "acme",
        ["run_1"],
        False,
    )
    assert TriggerEnvelope.model_validate(written) == signal


def test_a_payload_is_not_judged_before_the_gate() -> None:
    signal = TriggerInput(tenant_id="a", source="s", type="t", payload={"set": {1}, "nul": "\0"})
    assert signal.payload["set"] == {1}


def test_a_registration_takes_a_model_class() -> None:
    class Paid(BaseModel):
        cents: int

    assert TriggerRegistration(source="shop", payload_schema=Paid).payload_schema is Paid
    with pytest.raises(ValidationError):
        TriggerRegistration.model_validate({"source": "shop", "payloadSchema": dict})


def test_values_are_frozen_and_know_their_fields() -> None:
    signal = TriggerInput(tenant_id="a", source="s", type="t")
    with pytest.raises(ValidationError, match="frozen"):
        signal.type = "other"
    with pytest.raises(ValidationError, match="Extra inputs"):
        TriggerInput.model_validate({"tenantId": "a", "source": "s", "type": "t", "x": 1})


def test_a_validation_error_never_repeats_the_input() -> None:
    with pytest.raises(ValidationError) as caught:
        TriggerInput.model_validate({"tenantId": "a", "source": 5, "type": "t", "key": "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_prose_may_have_lines_but_no_nul() -> None:
    fields: dict[str, object] = {"tenantId": "a", "name": "n", "triggerType": "t", "steps": []}
    assert WorkflowInput.model_validate({**fields, "description": "a\nb"}).description == "a\nb"
    for bad in ("\0", "\ud800", "x" * 10_001):
        with pytest.raises(ValidationError):
            WorkflowInput.model_validate({**fields, "description": bad})


def test_a_stored_definition_and_a_snapshot_share_their_steps() -> None:
    stored = WorkflowDefinition(
        tenant_id="a",
        name="n",
        trigger_type="t",
        steps=[ActionStep(name="x")],
        id="wfd_1",
        created_at=NOW,
        updated_at=NOW,
    )
    snapshot = DefinitionSnapshot(
        name=stored.name,
        trigger_type=stored.trigger_type,
        steps=stored.steps,
        definition_id=stored.id,
    )
    assert (stored.version, snapshot.version) == (1, 1)
    assert DefinitionSnapshot.model_validate_json(snapshot.model_dump_json()) == snapshot
