"""The steps of a definition as a list for reading: each with its place and what is set for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from pulse_temporal.model.graph import branches_of, detail_of, text_of
from pulse_temporal.model.paths import Path, branch_path, child_path
from pulse_temporal.model.values import JsonObject, Value

TOLD_OTHERWISE = frozenset({"type", "name", "branches", "uses", "onFalse", "delayMs"})
"""Fields that name, kind and detail of a step say already, or that are steps of their own."""


class OutlineStep(Value):
    """A step of a definition.

    Attributes:
        path: Its place.
        depth: How many parallel steps it is inside of.
        branch: Number of its branch from 0, where it is the first step of one; else None.
        name: Its name; ``?`` when it has none.
        kind: Its type; ``?`` when it has none.
        detail: What it does beyond its name, in a few words; may be empty.
        fields: What else is set for it, such as ``config`` and ``retryPolicy``.
    """

    path: Path
    depth: int
    branch: int | None
    name: str
    kind: str
    detail: str
    fields: JsonObject


def outline_of(steps: Sequence[JsonValue]) -> list[OutlineStep]:
    """Return the steps of a list and of all branches in it, in document order.

    Args:
        steps: As a definition is stored; what is no step at all is listed as an unknown kind.
    """
    return [*_walk(steps, prefix="", depth=0, branch=None)]


def _walk(
    steps: Sequence[JsonValue], *, prefix: str, depth: int, branch: int | None
) -> Iterator[OutlineStep]:
    for index, step in enumerate(steps):
        path = child_path(prefix, index)
        yield OutlineStep(
            path=path,
            depth=depth,
            branch=branch if index == 0 else None,
            name=text_of(step, "name"),
            kind=text_of(step, "type"),
            detail=detail_of(step),
            fields=_fields(step),
        )
        for number, inner in enumerate(branches_of(step)):
            within = branch_path(path, number)
            yield from _walk(inner, prefix=within, depth=depth + 1, branch=number)


def _fields(step: JsonValue) -> JsonObject:
    if not isinstance(step, Mapping):
        return {}
    return {
        name: value
        for name, value in step.items()
        if name not in TOLD_OTHERWISE and value is not None
    }
