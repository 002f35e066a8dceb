"""Tenants wait in lines of their own, and take turns."""

from __future__ import annotations

import asyncio

import pytest

from pulse_temporal.services.lines import Lines


def filled(*items: str, limit: int = 100) -> Lines[str]:
    """Return lines in which items such as ``a1`` wait, of the tenants named by their letters."""
    lines = Lines[str](limit)
    for item in items:
        assert lines.put(item[0], item) is None
    return lines


def served(lines: Lines[str]) -> list[str]:
    """Take all that waits."""
    return [lines.take() for _ in range(len(lines))]


def test_one_line_is_served_in_its_order() -> None:
    assert served(filled("a1", "a2", "a3")) == ["a1", "a2", "a3"]


def test_tenants_take_turns() -> None:
    assert served(filled("a1", "a2", "a3", "b1", "b2", "c1")) == [
        "a1",
        "b1",
        "c1",
        "a2",
        "b2",
        "a3",
    ]


def test_who_comes_anew_waits_for_one_turn_of_the_others() -> None:
    lines = filled("a1", "a2", "a3")
    assert lines.take() == "a1"
    lines.put("b", "b1")

    assert served(lines) == ["a2", "b1", "a3"]


def test_a_flood_finds_no_room_and_takes_none_from_others() -> None:
    lines = filled("b1", "a1", "a2", "a3", limit=4)

    assert lines.put("a", "a4") == "a4"
    assert lines.put("b", "b2") == "a3"
    assert lines.put("b", "b3") == "b3", "both have two by now"
    assert lines.put("c", "c1") in {"a2", "b2"}
    assert len(lines) == 4
    assert [lines.length(tenant_id) for tenant_id in "abcd"].count(0) == 1


def test_with_more_tenants_than_room_none_pushes_out_another() -> None:
    lines = filled("a1", "b1", limit=2)

    assert lines.put("c", "c1") == "c1"


async def test_who_waits_for_an_item_is_woken_by_it() -> None:
    lines = filled()
    waiting = asyncio.ensure_future(lines.wait())
    await asyncio.sleep(0)
    assert not waiting.done()

    lines.put("a", "a1")

    async with asyncio.timeout(5):
        await waiting
    assert lines.take() == "a1"
    with pytest.raises(IndexError):
        lines.take()
