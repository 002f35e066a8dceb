"""Whose turn it is at the outbox, and when a relay looks at all of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pulse_temporal.services.outbox.turns import FULL_LOOKS, LATE, Turns
from pulse_temporal.store.outbox import OutboxCommand

INTERVAL = timedelta(milliseconds=200)


def commands(
    ids: Mapping[str, list[int]], *, share: int, last_turn: str = ""
) -> list[OutboxCommand]:
    """Make leased commands of tenants."""
    made = [
        OutboxCommand(id_, "start", tenant, f"run_{id_}", 1, 1, 1, share, last_turn)
        for tenant, all_ids in ids.items()
        for id_ in all_ids
    ]
    return sorted(made, key=lambda command: command.id)


def slow_look(turns: Turns, *, newest: int, at: float) -> None:
    """Make a full look that takes a second."""
    turns.mark(newest, now=at)
    turns.looked_at_all([], began=at, now=at + 1)


def test_each_look_is_a_full_one_while_those_are_quick() -> None:
    turns = Turns(batch=100)
    assert turns.is_full_look_due(10.0)

    turns.looked_at_all([], began=10.0, now=10.001)

    assert not turns.is_slow(10.001, interval=INTERVAL)
    turns.mark(None, now=10.001)
    assert turns.is_full_look_due(10.001)


def test_full_looks_that_are_slow_are_rare() -> None:
    turns = Turns(batch=100)
    slow_look(turns, newest=500, at=10)
    slow_look(turns, newest=600, at=12)

    assert turns.is_slow(13, interval=INTERVAL)
    assert not turns.is_full_look_due(13 + FULL_LOOKS - 0.01)
    assert turns.is_full_look_due(13 + FULL_LOOKS + 0.01)


def test_commands_committed_around_a_full_look_are_still_new() -> None:
    """A command that had its id before the look, and was committed during or after it."""
    turns = Turns(batch=100)

    slow_look(turns, newest=500, at=10)

    assert turns.is_full_look_due(11.1), "500 may have been on its way while it looked"
    slow_look(turns, newest=700, at=10 + LATE.total_seconds())
    assert not turns.is_full_look_due(13.1)
    assert turns.seen() == 500


def test_an_id_that_cannot_be_known_makes_each_look_a_full_one() -> None:
    turns = Turns(batch=100)
    slow_look(turns, newest=500, at=10)
    slow_look(turns, newest=500, at=12)
    turns.mark(None, now=13.1)
    assert turns.is_full_look_due(13.1)


def test_commands_committed_a_little_late_are_still_new() -> None:
    """A look at what is new begins at an id of well before the last look, whenever that was."""
    turns = Turns(batch=100)
    slow_look(turns, newest=500, at=10)
    slow_look(turns, newest=700, at=12)
    turns.mark(800, now=16.0)
    assert turns.seen() == 500, "nobody has looked since"
    turns.looked_at_new({}, [], began=16.0)
    assert turns.seen() == 700


def test_a_tenant_with_more_than_its_share_goes_on_behind_it() -> None:
    turns = Turns(batch=4)

    turns.looked_at_all(commands({"a": [1, 2], "b": [7]}, share=2), began=1.0, now=1.0)

    assert turns.more
    assert turns.next() == ({"a": 2}, 4)


def test_newcomers_have_their_turn_along_with_those_that_wait() -> None:
    turns = Turns(batch=4)
    turns.looked_at_all(commands({"a": [1, 2, 3, 4]}, share=4), began=1.0, now=1.0)
    turns.welcome({"b": 9, "a": 8})
    chosen, share = turns.next()
    assert (chosen, share) == ({"a": 4, "b": 9}, 2)

    turns.looked_at_new(chosen, commands({"a": [5, 6], "b": [10]}, share=2), began=1.0)

    assert turns.heads == {"a": 6}
    assert turns.more


def test_more_tenants_than_a_batch_holds_have_their_turns_one_after_another() -> None:
    turns = Turns(batch=2)
    turns.welcome({"a": 0, "b": 0, "c": 0})
    served: list[str] = []
    for _ in range(3):
        chosen, share = turns.next()
        served += chosen
        leased = commands({tenant: [len(served)] for tenant in chosen}, share=share)
        turns.looked_at_new(chosen, leased, began=1.0)
        assert turns.more
    assert served == ["a", "b", "c", "a", "b", "c"]


def test_a_full_look_goes_on_after_the_tenant_that_came_last() -> None:
    turns = Turns(batch=2)
    turns.looked_at_all(commands({"a": [1], "b": [2]}, share=1, last_turn="b"), began=1.0, now=1.0)
    assert turns.after == "b"
    turns.looked_at_all(commands({"c": [3]}, share=2, last_turn="c"), began=1.0, now=1.0)
    assert turns.after == ""


def test_who_is_passed_over_keeps_its_place() -> None:
    turns = Turns(batch=4)
    turns.looked_at_all(commands({"a": [1, 2], "b": [7, 8]}, share=2), began=1.0, now=1.0)

    chosen, share = turns.next(passed_over={"a"})
    assert (chosen, share) == ({"b": 8}, 4)
    turns.looked_at_new(chosen, [], began=1.0)
    turns.looked_at_all([], began=1.0, now=1.0, passed_over={"a"})

    assert turns.next() == ({"a": 2}, 4)


def test_a_tenant_goes_on_after_the_dialect_that_has_come_less_far() -> None:
    turns = Turns(batch=4)
    made = [
        OutboxCommand(id_, "start", "a", f"run_{id_}", 1, dialect, 1, 4, "")
        for id_, dialect in ((1, 1), (2, 1), (8, 2), (9, 2))
    ]

    turns.looked_at_all(made, began=1.0, now=1.0)

    assert turns.next()[0] == {"a": 2}
