"""What differs between two JSON values, line by line of their text."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal

from pulse_temporal.model.values import Value

MOST_LINES = 2_000
"""Lines of both texts together; comparing takes the square of them at worst."""

CONTEXT = 3
"""Lines that stay, shown round those that differ."""

LineSign = Literal["+", "-", " ", "…"]


class LineDifference(Value):
    """A line of a comparison.

    Attributes:
        sign: ``+`` is new, ``-`` is gone, a blank is in both; ``…`` stands for lines left out.
    """

    sign: LineSign
    text: str


def line_differences(old: str, new: str) -> list[LineDifference] | None:
    """Return the lines that differ, with some round them; None when there are too many lines."""
    before, after = old.splitlines(), new.splitlines()
    if len(before) + len(after) > MOST_LINES:
        return None
    found: list[LineDifference] = []
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(CONTEXT)):
        if number or group[0][1]:
            found.append(LineDifference(sign="…", text=""))
        for tag, begin, end, start, stop in group:
            if tag == "equal":
                found += _lines(" ", before[begin:end])
            else:
                found += _lines("-", before[begin:end])
                found += _lines("+", after[start:stop])
    return found


def _lines(sign: LineSign, texts: Sequence[str]) -> list[LineDifference]:
    return [LineDifference(sign=sign, text=text) for text in texts]
