"""Definitions at the door: all mistakes at once, in the author's own spelling."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_temporal.config import Limits
from pulse_temporal.errors import DefinitionError, Problem
from pulse_temporal.model.canonical import canonical_json
from pulse_temporal.model.definitions import WorkflowDefinition, WorkflowInput, WorkflowUpdate
from pulse_temporal.model.steps import ActionStep, ParallelStep, RetryPolicy, WorkflowStep
from pulse_temporal.model.validation import apply_update, parse_definition

LIMITS = Limits()
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def camel(*steps: object, **fields: object) -> dict[str, object]:
    return {"tenantId": "acme", "name": "n", "triggerType": "t", "steps": list(steps), **fields}


def snake(*steps: object, **fields: object) -> dict[str, object]:
    return {"tenant_id": "acme", "name": "n", "trigger_type": "t", "steps": list(steps), **fields}


def action(name: object, **fields: object) -> dict[str, object]:
    return {"type": "action", "name": name, **fields}


def block(name: str, *branches: object) -> dict[str, object]:
    return {"type": "parallel", "name": name, "branches": list(branches)}


def problems(data: object, *, limits: Limits = LIMITS) -> dict[str, Problem]:
    with pytest.raises(DefinitionError) as caught:
        parse_definition(data, limits=limits)  # pyright: ignore[reportArgumentType] - hostile input
    found = {problem.pointer: problem for problem in caught.value.problems}
    assert len(found) == len(caught.value.problems)
    return found


def only(data: object, *, limits: Limits = LIMITS) -> Problem:
    (problem,) = problems(data, limits=limits).values()
    return problem


def stored(*steps: WorkflowStep) -> WorkflowDefinition:
    return WorkflowDefinition(
        tenant_id="acme",
        name="n",
        description="old",
        trigger_type="t",
        steps=list(steps),
        config={"a": 1},
        id="wfd_1",
        created_at=NOW,
        updated_at=NOW,
    )


def test_mistakes_of_structure_and_of_meaning_are_told_together_in_document_order() -> None:
    found = problems(
        camel(
            {"type": "delay", "name": "wait", "delayMs": 40 * 86_400_000},
            action("a", timeOut=5),
            {"type": "actoin", "name": "b"},
            action("a", config={"x": [float("nan")]}),
            {"type": "condition", "name": "c", "onFalse": "skp"},
            isEnabled="yes",
        )
    )
    expected = {
        "/steps/0/delayMs": ("must be at most 2592000000 (30 days)", None),
        "/steps/1/timeOut": (
            "is not a field here; known are name, config, uses, retryPolicy, timeoutMs, type",
            'Did you mean "timeoutMs"?',
        ),
        "/steps/2/type": (
            'must be "action", "condition", "delay" or "parallel"',
            'Did you mean "action"?',
        ),
        "/steps/3/name": (
            "is the name of /steps/1 too; names are unique in a definition, branches included",
            None,
        ),
        "/steps/3/config/x/0": ("NaN is not a finite number", None),
        "/steps/4/onFalse": (
            'must be "complete", "skip" or the number of steps to skip, at least 1',
            'Did you mean "skip"?',
        ),
        "/isEnabled": ("must be true or false, not text", None),
    }
    assert {pointer: (p.message, p.hint) for pointer, p in found.items()} == expected
    assert list(found) == list(expected)


def test_pointers_keep_the_spelling_of_the_author() -> None:
    step = {"type": "action", "name": "a", "retry_policy": {"max_attempts": 11, "backoff_ms": 1}}
    assert list(problems(snake(step, cron_expression=5))) == [
        "/steps/0/retry_policy/max_attempts",
        "/steps/0/retry_policy/backoff_ms",
        "/cron_expression",
    ]
    step = {"type": "action", "name": "a", "retryPolicy": {"maxAttempts": 11, "backoffMs": 1}}
    assert list(problems(camel(step, cronExpression=5))) == [
        "/steps/0/retryPolicy/maxAttempts",
        "/steps/0/retryPolicy/backoffMs",
        "/cronExpression",
    ]


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        ({"tenant_id": "acme", "name": "n", "steps": []}, "/trigger_type"),
        ({"tenantId": "acme", "name": "n", "steps": []}, "/triggerType"),
        (snake({"type": "delay", "name": "d"}), "/steps/0/delay_ms"),
        (camel({"type": "delay", "name": "d"}), "/steps/0/delayMs"),
        (
            camel(action("a", retry_policy={"backoff_ms": 100})),
            "/steps/0/retry_policy/max_attempts",
        ),
        (camel({"name": "a"}), "/steps/0/type"),
        (camel({"type": "action"}), "/steps/0/name"),
    ],
)
def test_a_missing_field_is_named_as_the_author_would_spell_it(
    data: Mapping[str, object], missing: str
) -> None:
    problem = only(data)
    assert problem.pointer == missing
    assert problem.message.startswith("is required")


@pytest.mark.parametrize("kind", ["action", "condition", "delay", "parallel"])
def test_a_field_named_like_a_type_does_not_confuse_the_pointer(kind: str) -> None:
    inner = block("p", [action("a"), action("b", **{kind: 1})], [action("c")])
    assert only(camel(inner)).pointer == f"/steps/0/branches/0/1/{kind}"


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (camel(nam="x"), 'Did you mean "name"?'),
        (snake(cron="x"), 'Did you mean "cron_expression"?'),
        (snake(zzz="x"), None),
        (snake(cron_expresion="x"), 'Did you mean "cron_expression"?'),
        (camel(action("a", delayMs=5)), 'It belongs to a step of type "delay".'),
        (camel(action("a", retryPolicy={"maxAttempts": 1, "backoffMs": 100, "backof": 1})),
         'Did you mean "backoffMs"?'),
        (camel("send_mail"), 'Write {"type": "action", "name": "..."}.'),
        (camel({"type": "Delay", "name": "d"}), 'Did you mean "delay"?'),
        (camel({"type": "condition", "name": "c", "onFalse": "compleet"}),
         'Did you mean "complete"?'),
    ],
)  # fmt: skip
def test_near_misses_get_a_hint(data: object, hint: str | None) -> None:
    assert only(data).hint == hint


@pytest.mark.parametrize("field", ["id", "createdAt", "updated_at", "version"])
def test_fields_that_pulse_sets_are_told_apart_from_unknown_ones(field: str) -> None:
    assert only(camel(**{field: "x"})).message.startswith("is set by Pulse")


def test_one_field_in_two_spellings_is_refused() -> None:
    found = problems(camel(action("a", timeoutMs=1, timeout_ms=2), trigger_type="u"))
    assert list(found) == ["/steps/0/timeout_ms", "/trigger_type"]
    assert 'the same field as "timeoutMs"' in found["/steps/0/timeout_ms"].message


@pytest.mark.parametrize(
    ("data", "pointer", "says"),
    [
        ([], "", "must be an object, not a list"),
        (None, "", "must be an object, not null"),
        (camel(5), "/steps/0", "must be an object with a type and a name, not a number"),
        (camel(object()), "/steps/0", "not a Python object"),
        (camel({"type": ["action"], "name": "a"}), "/steps/0/type", 'must be "action"'),
        (camel({"type": None, "name": "a"}), "/steps/0/type", "is required"),
        (camel(action(None)), "/steps/0/name", "must be text, not null"),
        (camel(action("a", config=[1])), "/steps/0/config", "must be an object, not a list"),
        (camel(config=None), "/config", "must be an object, not null"),
        (camel(config={1: 2}), "/config", "keys must be text"),
        (camel(action("a", timeoutMs=1.5)), "/steps/0/timeoutMs", "not a decimal number"),
        (camel(action("a", timeoutMs=True)), "/steps/0/timeoutMs", "not a boolean"),
        (camel(action("a", timeoutMs=0)), "/steps/0/timeoutMs", "must be at least 1"),
        (camel(action("a", retryPolicy=3)), "/steps/0/retryPolicy", "must be an object"),
        (camel(block("p", [action("a")])), "/steps/0/branches", "at least 2 branches, not 1"),
        (camel(block("p", [action("a")], [])), "/steps/0/branches/1", "at least 1 steps, not 0"),
        (camel(block("p", [action("a")], 5)), "/steps/0/branches/1", "must be a list"),
        (camel({"type": "parallel", "name": "p", "branches": {}}), "/steps/0/branches",
         "must be a list, not an object"),
        ({**camel(), "steps": {}}, "/steps", "must be a list, not an object"),
        ({**camel(), "steps": "abc"}, "/steps", "must be a list, not text"),
        ({**camel(), "steps": (s for s in ())}, "/steps", "must be a list, not a Python"),
        ({**camel(), 5: 1}, "/5", "is not a field here"),
        (camel({"type": "action", "name": "a", 5: 1}), "/steps/0", "a key that is an int"),
        (camel(action("a", **{"x/y~\0": 1})), "/steps/0/x~1y~0\ufffd", "is not a field here"),
    ],
)  # fmt: skip
def test_every_shape_of_nonsense_has_its_message(data: object, pointer: str, says: str) -> None:
    problem = only(data)
    assert problem.pointer == pointer
    assert says in problem.message


def test_the_name_of_a_step_is_unique_across_branches() -> None:
    found = problems(camel(action("a"), block("p", [action("a")], [action("p")])))
    assert {pointer: p.message.split(" too")[0] for pointer, p in found.items()} == {
        "/steps/1/branches/0/0/name": "is the name of /steps/0",
        "/steps/1/branches/1/0/name": "is the name of /steps/1",
    }


def test_limits_are_options() -> None:
    limits = Limits(steps=3, branches=2, depth=1, delay=timedelta(hours=36))
    delay = {"type": "delay", "name": "d", "delay_ms": 129_600_001}
    assert (
        only(snake(delay), limits=limits).message == "must be at most 129600000 (1 day, 12:00:00)"
    )
    many = [action(f"s{index}") for index in range(4)]
    assert "more than 3 steps" in only(camel(*many), limits=limits).message
    wide = block("p", *[[action(f"b{index}")] for index in range(3)])
    assert only(camel(wide), limits=limits).pointer == "/steps/0/branches"
    deep = block("p", [block("q", [action("a")], [action("b")])], [action("c")])
    found = problems(camel(deep), limits=limits)
    assert found["/steps/0/branches/0/0"].message == "lies in 1 parallel steps; at most 1 may nest"
    assert parse_definition(camel(*many[:3]), limits=limits).steps[2].name == "s2"


def test_a_definition_that_is_too_large_is_refused_with_its_other_mistakes() -> None:
    limits = Limits(definition_bytes=1000)
    spread = [action(f"s{index}", config={"text": "x" * 300}) for index in range(4)]
    found = problems(camel(*spread, isEnabled=1), limits=limits)
    assert set(found) == {"", "/isEnabled"}
    assert "at most 1000 are allowed" in found[""].message
    assert "more than 1000 bytes" in only(camel(config={"a": "x" * 2000}), limits=limits).message


def nest(depth: int) -> dict[str, object]:
    step = action("leaf", config={"a": {"b": 1}})
    for level in range(depth):
        step = block(f"p{level}", [step], [action(f"other{level}")])
    return step


def test_what_is_accepted_fits_into_canonical_json() -> None:
    limits = Limits(depth=64)
    parsed = parse_definition(camel(nest(19)), limits=limits)
    tree = parsed.model_dump(mode="json")
    canonical_json(tree, where="definition", max_bytes=10**6)
    (problem,) = problems(camel(nest(20)), limits=limits).values()
    assert problem.pointer.endswith("/config/a")
    (problem,) = problems(camel(nest(21)), limits=limits).values()
    assert "at most 20 may nest" in problem.message


def test_hostile_nesting_gives_a_bounded_answer() -> None:
    assert "at most 16 may nest" in only(camel(nest(5000))).message


def test_a_cycle_of_blocks_gives_a_bounded_answer() -> None:
    cycle = block("p")
    cycle["branches"] = [[cycle, cycle], [cycle]]
    with pytest.raises(DefinitionError) as caught:
        parse_definition(camel(cycle), limits=LIMITS)
    assert len(caught.value.problems) == 101
    assert caught.value.problems[-1] == Problem("", "… and more")


def test_ten_thousand_steps_give_a_bounded_answer() -> None:
    assert only(camel(*[action(f"s{index}") for index in range(10_000)])).pointer == "/steps"


def test_a_hundred_thousand_unknown_fields_give_a_bounded_answer() -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_definition(dict.fromkeys(map(str, range(100_000)), 1), limits=LIMITS)
    assert len(caught.value.problems) == 101


def test_a_shared_broken_config_gives_a_bounded_answer() -> None:
    config = {"a": {1}}
    steps = [action(f"s{index}", config=config) for index in range(1000)]
    with pytest.raises(DefinitionError) as caught:
        parse_definition(camel(*steps), limits=LIMITS)
    assert len(caught.value.problems) == 101


FIELDS = [
    "type",
    "name",
    "steps",
    "branches",
    "config",
    "delayMs",
    "delay_ms",
    "onFalse",
    "retryPolicy",
    "retry_policy",
    "action",
    "tenantId",
    "triggerType",
    "x\x00",
]
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner | st.sampled_from(["action", "parallel", "delay", "condition", "a"]),
            max_size=6,
        )
    ),
    max_leaves=40,
)


@given(junk)
def test_any_input_gives_a_definition_or_a_definition_error(data: object) -> None:
    found = [*outcome(data), *outcome(camel(data)), *outcome({**camel(), "steps": data})]
    assert len(found) <= 3 * 101
    assert all(problem.message for problem in found)
    "".join(map(str, found)).encode()


def outcome(data: object) -> Sequence[Problem]:
    try:
        parse_definition(data, limits=LIMITS)  # pyright: ignore[reportArgumentType] - hostile input
    except DefinitionError as error:
        return error.problems
    return ()


def test_models_and_conveniences_are_welcome() -> None:
    data = UserDict(
        snake(
            ActionStep(name="a", config={"k": 1}),
            action("b", config={"since": date(2026, 1, 2)}, retry_policy=RetryPolicy(
                max_attempts=2, backoff_ms=100)),
            ParallelStep(name="p", branches=[[ActionStep(name="c")], [ActionStep(name="d")]]),
        )
    )  # fmt: skip
    parsed = parse_definition(data, limits=LIMITS)
    assert parsed.steps[1].config == {"since": "2026-01-02"}
    assert parse_definition(parsed, limits=LIMITS) == parsed


def test_a_model_is_checked_for_what_models_cannot_know() -> None:
    same = [ActionStep(name="a"), ActionStep(name="a")]
    data = WorkflowInput(tenant_id="acme", name="n", trigger_type="t", steps=list(same))
    assert only(data).pointer == "/steps/1/name"


def test_an_update_changes_the_fields_it_sets_and_no_other() -> None:
    current = stored(ActionStep(name="a"))
    updated = apply_update(current, {"name": "new", "isEnabled": False}, limits=LIMITS)
    assert (updated.name, updated.is_enabled, updated.description) == ("new", False, "old")
    assert updated.steps == current.steps
    assert type(updated) is WorkflowInput
    cleared = apply_update(current, WorkflowUpdate(description=None), limits=LIMITS)
    assert (cleared.description, cleared.name) == (None, "n")


@pytest.mark.parametrize(
    ("data", "pointer", "says"),
    [
        ({"tenantId": "other"}, "/tenantId", "never changes"),
        ({"tenant_id": "acme"}, "/tenant_id", "never changes"),
        ({"name": None}, "/name", "must be text, not null"),
        ({"id": "x"}, "/id", "is set by Pulse"),
        ({"trigger": "x", "triggerType": "y"}, "/trigger", "is not a field here"),
        ({"steps": [{"type": "delay", "name": "d"}], "isEnabled": True}, "/steps/0/delayMs",
         "is required"),
        ([], "", "must be an object"),
    ],
)  # fmt: skip
def test_problems_of_an_update_point_into_the_update(
    data: dict[str, object], pointer: str, says: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        apply_update(stored(), data, limits=LIMITS)
    (problem,) = caught.value.problems
    assert problem.pointer == pointer
    assert says in problem.message


def test_an_update_is_measured_with_what_it_keeps() -> None:
    limits = Limits(definition_bytes=600)
    current = stored(ActionStep(name="a", config={"text": "x" * 300}))
    with pytest.raises(DefinitionError, match="bytes as JSON"):
        apply_update(current, {"config": {"text": "x" * 300}}, limits=limits)


def test_all_mistakes_of_an_update_are_told_together() -> None:
    with pytest.raises(DefinitionError) as caught:
        apply_update(stored(), {"tenantId": "x", "naem": 1, "name": None}, limits=LIMITS)
    assert [p.pointer for p in caught.value.problems] == ["/tenantId", "/naem", "/name"]
