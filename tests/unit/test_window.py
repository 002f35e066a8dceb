"""How far starts may be ahead of the workers, by how soon runs begin."""

from __future__ import annotations

import pytest

from pulse_temporal.services.outbox.window import (
    FIRST_SIZE,
    GROWTH,
    LARGEST_SIZE,
    LEAST_PROMPT_S,
    LEAST_SIZE,
    MEMORY_S,
    MOST_NOT_BEGUN,
    PATIENCE_S,
    PROMPT_S,
    Quickest,
    Window,
)
from pulse_temporal.store.outbox import StartedRun

PROMPTLY = PROMPT_S / 2
LATE = PROMPT_S * 2


def fill(window: Window, *, now: float) -> list[str]:
    """Start as many runs as there may be."""
    made: list[str] = []
    while window.has_room:
        made.append(f"{now} {len(made)}")
        window.enter(made[-1])
        window.started(made[-1], now=now)
    return made


def begin(window: Window, run_ids: list[str], *, at: float, is_at_rest: bool) -> None:
    """Let runs begin, all at the same moment."""
    window.look([StartedRun(run_id, 0.0, is_at_rest) for run_id in run_ids], now=at)


def large_window() -> Window:
    """Return a window whose workers have begun every run promptly; nothing is ahead any more."""
    window = Window()
    for number in range(100):
        now = number * PROMPT_S
        begin(window, fill(window, now=now), at=now + PROMPTLY, is_at_rest=False)
    window.look([], now=100 * PROMPT_S + PATIENCE_S)
    return window


def test_only_so_many_runs_are_ahead() -> None:
    window = Window()

    assert len(fill(window, now=0)) == FIRST_SIZE
    assert len(window) == FIRST_SIZE


def test_a_run_that_was_not_started_is_not_ahead() -> None:
    window = Window()
    last = fill(window, now=0)[-1]

    window.leave(last)

    assert window.has_room


def test_prompt_runs_let_it_grow_while_it_is_full() -> None:
    window = Window()
    first = fill(window, now=0)

    begin(window, first[:2], at=PROMPTLY, is_at_rest=False)

    assert window.size == FIRST_SIZE + 2
    begin(window, first[2:], at=PROMPTLY, is_at_rest=False)
    assert window.size == FIRST_SIZE + 2, "there was room"


def test_once_it_has_met_a_queue_it_grows_by_little_a_round() -> None:
    window = Window()
    begin(window, fill(window, now=0), at=LATE, is_at_rest=True)
    shrunk = window.size

    begin(window, fill(window, now=1), at=1 + PROMPTLY, is_at_rest=True)

    assert shrunk + GROWTH / 2 < window.size <= shrunk + GROWTH


def test_it_is_bounded_whatever_the_workers_can_do() -> None:
    window = large_window()

    assert window.size == LARGEST_SIZE


def test_late_runs_let_it_shrink_once_a_round() -> None:
    window = Window()
    first = fill(window, now=0)

    begin(window, first[:4], at=LATE, is_at_rest=True)
    shrunk = window.size
    begin(window, first[4:], at=LATE + 1, is_at_rest=True)

    assert shrunk < FIRST_SIZE
    assert window.size == shrunk, "all were started before it shrank"
    for now in range(1, 50):
        begin(window, fill(window, now=now), at=now + LATE, is_at_rest=True)
    assert window.size == LEAST_SIZE


def test_a_look_that_comes_late_makes_no_run_late() -> None:
    window = Window()
    first = fill(window, now=0)

    window.look([StartedRun(first[0], 1.0 - PROMPTLY, is_at_rest=False)], now=1.0)

    assert window.size == FIRST_SIZE + 1


def test_few_runs_wait_to_be_begun_however_large_it_is() -> None:
    window = large_window()

    waiting = fill(window, now=100)

    assert len(waiting) == MOST_NOT_BEGUN
    begin(window, waiting[:3], at=100 + PROMPTLY, is_at_rest=False)
    assert len(fill(window, now=101)) == 3


@pytest.mark.parametrize("has_begun", [True, False])
def test_nothing_is_ahead_for_long(*, has_begun: bool) -> None:
    """A run in a retry's pause, one that no worker takes: later ones start nevertheless."""
    window = Window()
    stuck = fill(window, now=0)
    if has_begun:
        begin(window, stuck, at=PROMPTLY, is_at_rest=False)

    window.look([], now=PATIENCE_S - 0.1)
    assert len(window) == len(stuck)
    window.look([], now=PATIENCE_S)

    assert len(window) == 0
    assert (window.size < FIRST_SIZE) == (not has_begun)


def test_a_run_is_asked_about_once_temporal_has_it() -> None:
    window = Window()
    window.enter("run_1")
    assert window.unknown() == []

    window.started("run_1", now=0)

    assert window.unknown() == ["run_1"]


def test_a_run_that_has_ended_here_makes_room_at_once() -> None:
    window = Window()
    first, *_ = fill(window, now=0)

    window.end(first)

    assert window.has_room
    assert len(window) == FIRST_SIZE - 1
    assert first in window.unknown(), "how soon it had begun is still to be asked"


def test_a_run_that_has_ended_here_counts_for_the_size_like_any_other() -> None:
    window = Window()
    run_ids = fill(window, now=0)
    for run_id in run_ids:
        window.end(run_id)

    begin(window, run_ids, at=PROMPTLY, is_at_rest=True)

    assert window.size == 2 * FIRST_SIZE, "it had been full"
    assert window.unknown() == []


def test_a_run_that_ends_before_temporal_has_answered_its_start_is_asked_about_later() -> None:
    window = Window()
    window.enter("run")

    window.end("run")
    window.started("run", now=0)

    assert len(window) == 0
    assert window.unknown() == ["run"]


def test_a_run_that_was_seen_to_begin_is_forgotten_when_it_ends_here() -> None:
    window = Window()
    first, *_ = fill(window, now=0)
    begin(window, [first], at=PROMPTLY, is_at_rest=False)

    window.end(first)

    assert first not in window.unknown()


def test_the_end_of_a_run_that_is_not_ahead_changes_nothing() -> None:
    window = Window()
    fill(window, now=0)

    window.end("somebody else's")

    assert not window.has_room


def test_where_runs_begin_at_once_a_short_queue_is_noticed() -> None:
    window = Window()
    first, *others = fill(window, now=0)
    begin(window, [first], at=0.01, is_at_rest=False)
    grown = window.size

    begin(window, others, at=LEAST_PROMPT_S * 1.5, is_at_rest=False)

    assert window.size < grown


def test_where_the_servers_are_far_that_is_no_queue() -> None:
    window = Window()
    first, *others = fill(window, now=0)
    begin(window, [first], at=LEAST_PROMPT_S, is_at_rest=False)
    grown = window.size

    begin(window, others, at=LEAST_PROMPT_S * 1.5, is_at_rest=False)

    assert window.size >= grown


def test_a_quick_beginning_is_forgotten_after_a_while() -> None:
    quickest = Quickest()
    quickest.note(0.01, now=0)
    quickest.note(0.04, now=MEMORY_S)
    assert quickest.seconds == 0.01

    quickest.note(0.05, now=2 * MEMORY_S)

    assert quickest.seconds == 0.04
