"""Timelines as short lines, and an assertion that shows where they differ."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from types import EllipsisType

from pulse_temporal.model.timeline import RunTimelineEntry

Line = str | EllipsisType
"""A line such as ``step_started charge``, or ``...`` for any number of lines."""


def timeline_lines(
    entries: Iterable[RunTimelineEntry], *, within: str = "", logs: bool = False
) -> list[str]:
    """Tell a timeline in lines such as ``run_created`` and ``step_started charge``.

    Args:
        entries: From ``engine.get_run_timeline`` or ``RunResult.timeline``.
        within: Path of a parallel step (``2``) or of one of its branches (``2/b0``): only what
            happened below it. Branches run side by side; tell each one by itself.
        logs: Also what handlers wrote with ``ctx.log``, as ``log charge: message``.
    """
    return [
        _line(entry)
        for entry in entries
        if (logs or entry.type != "log") and _is_within(entry, within)
    ]


def assert_timeline(
    entries: Iterable[RunTimelineEntry],
    expected: Sequence[Line],
    *,
    within: str = "",
    logs: bool = False,
) -> None:
    """Assert that a timeline reads as expected; the error shows a diff.

    ```python
    assert_timeline(result.timeline, ["run_created", ..., "step_failed charge", "run_failed"])
    ```

    Args:
        entries: From ``engine.get_run_timeline`` or ``RunResult.timeline``.
        expected: Lines as ``timeline_lines`` gives them; ``...`` stands for any lines.
        within: As for ``timeline_lines``.
        logs: As for ``timeline_lines``.

    Raises:
        AssertionError: It reads otherwise.
    """
    lines = timeline_lines(entries, within=within, logs=logs)
    if _matches(lines, expected):
        return
    wanted = ["..." if isinstance(line, EllipsisType) else line for line in expected]
    diff = "\n".join(line.rstrip() for line in difflib.ndiff(wanted, lines) if line[0] != "?")
    raise AssertionError(f"The timeline differs (- expected, + what happened):\n{diff}")


def _line(entry: RunTimelineEntry) -> str:
    name = f" {entry.step_name}" if entry.step_name else ""
    text = f": {entry.detail.get('message')}" if entry.type == "log" else ""
    return f"{entry.type}{name}{text}"


def _is_within(entry: RunTimelineEntry, prefix: str) -> bool:
    return not prefix or (entry.path or "").startswith(f"{prefix}/")


def _matches(lines: list[str], expected: Sequence[Line]) -> bool:
    """Match like a file pattern: what stands between two ``...`` is looked for in order."""
    first, *others = _chunks(expected)
    if not others:
        return lines == first
    *middle, last = others
    if lines[: len(first)] != first:
        return False
    at = len(first)
    for chunk in middle:
        found = _find(chunk, lines, at)
        if found is None:
            return False
        at = found + len(chunk)
    return len(lines) - len(last) >= at and lines[len(lines) - len(last) :] == last


def _chunks(expected: Sequence[Line]) -> list[list[str]]:
    chunks: list[list[str]] = [[]]
    for line in expected:
        if isinstance(line, EllipsisType):
            chunks.append([])
        else:
            chunks[-1].append(line)
    return chunks


def _find(chunk: list[str], lines: list[str], at: int) -> int | None:
    for start in range(at, len(lines) - len(chunk) + 1):
        if lines[start : start + len(chunk)] == chunk:
            return start
    return None
