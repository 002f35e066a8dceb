"""A condition that repeats is told once, and then with growing pauses."""

from __future__ import annotations

from itertools import pairwise

from pulse_temporal.notices import FIRST_PAUSE, LONGEST_PAUSE, MOST_CONDITIONS, Repeats


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_repeated_notice_comes_ever_more_rarely() -> None:
    clock = Clock()
    repeats = Repeats(clock)
    told: list[float] = []
    for second in range(3600):
        clock.now = float(second)
        if repeats.is_due("away"):
            told.append(clock.now)
    pauses = [later - earlier for earlier, later in pairwise(told)]
    assert pauses[0] == FIRST_PAUSE.total_seconds()
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE.total_seconds()


def test_another_condition_is_told_at_once() -> None:
    repeats = Repeats(Clock())
    assert [repeats.is_due(each) for each in ("away", "away", "refused", "refused")] == [
        True,
        False,
        True,
        False,
    ]


def test_a_condition_that_comes_again_is_told_again() -> None:
    repeats = Repeats(Clock())
    assert not repeats.is_over()
    assert repeats.is_due("away")
    assert repeats.is_over()
    assert repeats.is_due("away")


def test_conditions_that_take_turns_are_told_once_each() -> None:
    repeats = Repeats(Clock())
    told = [each for each in ("away", "refused") * 50 if repeats.is_due(each)]
    assert told == ["away", "refused"]


def test_very_many_conditions_do_not_fill_the_memory() -> None:
    repeats = Repeats(Clock())
    assert all(repeats.is_due(f"{number}") for number in range(MOST_CONDITIONS + 1))
    assert not repeats.is_due(f"{MOST_CONDITIONS}")
    assert repeats.is_due("0")  # the oldest one was forgotten
