"""What comes next in a list of steps, against a model that simply walks down the list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_temporal.contract import StepSkeleton
from pulse_temporal.model.commands import Call, FanOut, Finish, Progress, Wait
from pulse_temporal.workflows.cursor import next_command, resume, skipped_after

ACTION = StepSkeleton(type="action", name="act", uses="act")
CONDITION = StepSkeleton(type="condition", name="ask", uses="ask")
DELAY = StepSkeleton(type="delay", name="pause", delay_ms=1)
PARALLEL = StepSkeleton(type="parallel", name="both", branches=((ACTION,), (ACTION,)))

OnFalse: TypeAlias = Literal["complete", "skip"] | int


def ask(on_false: OnFalse) -> StepSkeleton:
    return CONDITION.model_copy(update={"on_false": on_false})


def test_each_kind_of_step_has_its_command() -> None:
    steps = (ACTION, CONDITION, DELAY, PARALLEL)
    commands = [next_command(steps, resume([(0, index - 1)])) for index in range(5)]
    assert commands == [Call(0), Call(1), Wait(2), FanOut(3), Finish()]


def test_an_empty_list_is_finished() -> None:
    assert next_command((), Progress()) == Finish()


@pytest.mark.parametrize(
    ("on_false", "skipped"),
    [
        ("complete", [2, 3, 4]),
        ("skip", [2]),
        (1, [2]),
        (2, [2, 3]),
        (3, [2, 3, 4]),
        (99, [2, 3, 4]),
    ],
)
def test_a_false_condition_passes_over(on_false: OnFalse, skipped: list[int]) -> None:
    """It counts siblings, a parallel step as one; too many mean to the end of the list."""
    steps = (ACTION, ask(on_false), PARALLEL, DELAY, ACTION)
    assert list(skipped_after(steps, 1, answer=False)) == skipped


@pytest.mark.parametrize("answer", [True, None])
@pytest.mark.parametrize("on_false", ["complete", "skip", 5])
def test_any_other_answer_passes_over_nothing(answer: bool | None, on_false: OnFalse) -> None:
    assert not skipped_after((ask(on_false), ACTION), 0, answer=answer)


@pytest.mark.parametrize("on_false", ["complete", "skip", 1])
def test_a_false_condition_at_the_end_passes_over_nothing(
    on_false: OnFalse,
) -> None:
    assert not skipped_after((ACTION, ask(on_false)), 1, answer=False)


def test_progress_waits_for_a_gap_to_close() -> None:
    """A step that ended early does not move the index past one that has not."""
    progress = Progress().end([1, 2])
    assert (progress.index, progress.ended) == (0, {1, 2})
    progress = progress.end([0])
    assert (progress.index, progress.ended) == (3, frozenset[int]())


def test_progress_is_the_same_however_often_a_step_ends() -> None:
    assert Progress().end([0, 0]).end([0]) == Progress().end([0])


@dataclass(frozen=True)
class Scenario:
    """A list of steps, and what each would answer if it were called."""

    steps: tuple[StepSkeleton, ...]
    answers: tuple[bool, ...]

    def answer(self, index: int) -> bool | None:
        return self.answers[index] if self.steps[index].type == "condition" else None


_words: list[OnFalse] = ["complete", "skip"]
_bones = st.one_of(
    st.sampled_from([ACTION, DELAY, PARALLEL, *map(ask, _words)]), st.integers(1, 12).map(ask)
)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    steps = tuple(draw(st.lists(_bones, max_size=10)))
    answers = draw(st.lists(st.booleans(), min_size=len(steps), max_size=len(steps)))
    return Scenario(steps, tuple(answers))


def expected(scenario: Scenario) -> tuple[list[int], list[int]]:
    """Walk down the list, as the Pulse README tells it; give what is done and what is skipped."""
    done: list[int] = []
    skipped: list[int] = []
    to_skip = 0
    for index, step in enumerate(scenario.steps):
        if to_skip > 0:
            skipped.append(index)
            to_skip -= 1
            continue
        done.append(index)
        if step.type == "condition" and not scenario.answers[index]:
            everything = len(scenario.steps)
            words = {"complete": everything, "skip": 1}
            to_skip = words[step.on_false] if isinstance(step.on_false, str) else step.on_false
    return done, skipped


def interpret(scenario: Scenario, progress: Progress) -> tuple[list[int], list[int]]:
    """Do what the cursor says until it says that all is done."""
    done: list[int] = []
    skipped: list[int] = []
    while True:
        command = next_command(scenario.steps, progress)
        if isinstance(command, Finish):
            return done, skipped
        assert not skipped or command.index > skipped[-1]
        over = skipped_after(scenario.steps, command.index, answer=scenario.answer(command.index))
        done.append(command.index)
        skipped.extend(over)
        progress = progress.end([command.index, *over])
        assert len(done) <= len(scenario.steps)


@given(scenarios())
def test_the_cursor_walks_like_the_model(scenario: Scenario) -> None:
    assert interpret(scenario, Progress()) == expected(scenario)


@given(scenarios())
def test_every_step_ends_exactly_once(scenario: Scenario) -> None:
    done, skipped = interpret(scenario, Progress())
    assert sorted([*done, *skipped]) == list(range(len(scenario.steps)))


@given(scenarios(), st.integers(0, 10))
def test_a_resumed_list_has_the_same_rest(scenario: Scenario, cut: int) -> None:
    """Wherever an execution ended, its successor does what would have come next."""
    done, skipped = expected(scenario)
    recorded = done[:cut]
    passed_over = [
        index
        for step in recorded
        for index in skipped_after(scenario.steps, step, answer=scenario.answer(step))
    ]
    progress = resume(ranges([*recorded, *passed_over]))
    assert interpret(scenario, progress) == (
        done[cut:],
        [index for index in skipped if index not in passed_over],
    )


def ranges(indexes: Sequence[int]) -> list[tuple[int, int]]:
    """Write indexes as ranges, both ends included."""
    found: list[tuple[int, int]] = []
    for index in sorted(set(indexes)):
        if found and found[-1][1] == index - 1:
            found[-1] = (found[-1][0], index)
        else:
            found.append((index, index))
    return found


@given(st.lists(st.integers(0, 30), max_size=30), st.randoms(use_true_random=False))
def test_progress_does_not_depend_on_the_order_of_endings(
    indexes: list[int], chance: Random
) -> None:
    shuffled = list(indexes)
    chance.shuffle(shuffled)
    one_by_one = Progress()
    for index in shuffled:
        one_by_one = one_by_one.end([index])
    assert one_by_one == Progress().end(indexes) == resume(ranges(indexes))
    everything = {*one_by_one.ended, *range(one_by_one.index)}
    assert everything == set(indexes)
    assert one_by_one.index not in everything
