"""Where a run's story differs from the one that was foretold, in lines for people."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import JsonValue

from tests.model.oracle import RunStory, StepStory


def compare(wanted: RunStory, seen: RunStory) -> list[str]:
    """Return the differences, none when all is as foretold."""
    pairs: list[tuple[str, object, object]] = [
        ("status", wanted.status, seen.status),
        ("index of the failed step", wanted.failed_at, seen.failed_at),
        ("context", strictly(wanted.context), strictly(seen.context)),
        ("paths", set(wanted.steps), set(seen.steps)),
        ("signals", sorted(map(str, wanted.sent)), sorted(map(str, seen.sent))),
        ("effects", sorted(wanted.effects), sorted(seen.effects)),
    ]
    pairs += [
        (f"lines in {prefix!r}", wanted.lines[prefix], seen.lines[prefix])
        for prefix in wanted.lines.keys() | seen.lines.keys()
    ]
    for path in wanted.steps.keys() & seen.steps.keys():
        pairs += _of_step(path, wanted.steps[path], seen.steps[path])
        pairs.append((f"calls of {path}", _calls(wanted, path), _calls(seen, path)))
    found = [
        f"{wanted.mode} run: {what}: expected {expected}, was {was}"
        for what, expected, was in pairs
        if expected != was
    ]
    if not is_like(wanted.error, seen.error):
        found.append(f"{wanted.mode} run: error: expected {wanted.error!r}, was {seen.error!r}")
    return found


def _of_step(
    path: str, wanted: StepStory, seen: StepStory
) -> Iterator[tuple[str, object, object]]:
    yield f"status of {path}", wanted.status, seen.status
    yield f"attempts of {path}", wanted.attempt, seen.attempt
    yield f"what skipped {path}", wanted.skipped_by, seen.skipped_by
    yield f"result of {path}", strictly(wanted.result), strictly(seen.result)
    if not is_like(wanted.error, seen.error):
        yield f"error of {path}", wanted.error, seen.error


def _calls(story: RunStory, path: str) -> list[tuple[int, object]]:
    return [(call.attempt, strictly(call.context)) for call in story.calls.get(path, [])]


def is_like(pattern: str | None, text: str | None) -> bool:
    """Return whether a text is what was foretold of it."""
    if pattern is None or text is None:
        return pattern is text
    return re.fullmatch(pattern, text, re.DOTALL) is not None


def strictly(value: JsonValue) -> object:
    """Make ``True`` differ from ``1``, which Python takes for equal and JSON does not."""
    match value:
        case bool():
            return ("boolean", value)
        case dict():
            return {key: strictly(inner) for key, inner in value.items()}
        case list():
            return [strictly(inner) for inner in value]
        case _:
            return value
