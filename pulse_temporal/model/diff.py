"""What differs between two contents of a definition, told by the names of its steps.

Names are unique in a definition and are what results are known by, so a step that was moved is
the same step. Contents are read as the JSON that is stored, of whatever release.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import JsonValue

from pulse_temporal.model.paths import Path, branch_path, child_path
from pulse_temporal.model.values import JsonObject, Value

FieldOutcome = Literal["added", "changed", "removed"]
StepOutcome = Literal["added", "changed", "moved", "removed"]


class FieldDifference(Value):
    """A field that is not the same in both contents.

    Attributes:
        field: Its name, with those of the objects that contain it, as ``retryPolicy/maxAttempts``;
            ``~`` and ``/`` within a name are written ``~0`` and ``~1``, as in JSON Pointer.
        outcome: ``added`` has no ``old``, ``removed`` has no ``new``.
        old: Its value before; lists are compared as a whole.
        new: Its value now.
    """

    field: str
    outcome: FieldOutcome
    old: JsonValue = None
    new: JsonValue = None


class StepDifference(Value):
    """A step that is not the same in both contents.

    Attributes:
        name: Its name.
        outcome: ``changed`` says that its fields differ; ``moved``, that only its place does.
        is_moved: Whether it stands in another list, or in another order among the steps that
            both lists have.
        old_path: Its place before; None when it was added.
        new_path: Its place now; None when it was removed.
        fields: What differs, in the order of the names.
    """

    name: str
    outcome: StepOutcome
    is_moved: bool = False
    old_path: Path | None = None
    new_path: Path | None = None
    fields: tuple[FieldDifference, ...] = ()


class DefinitionDifference(Value):
    """What differs between two contents of a definition.

    Attributes:
        fields: Outside of the steps, in the order of the names.
        steps: In the order of the new content; each removed one where it was.
    """

    fields: tuple[FieldDifference, ...] = ()
    steps: tuple[StepDifference, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not self.fields and not self.steps


def difference_of(old: JsonObject, new: JsonObject) -> DefinitionDifference:
    """Return what differs between two contents of a definition.

    Args:
        old: A definition as JSON, with the field names in camelCase.
        new: The same, later.
    """
    return DefinitionDifference(
        fields=tuple(_fields(_without(old, "steps"), _without(new, "steps"))),
        steps=tuple(_steps(_listed(old.get("steps")), _listed(new.get("steps")))),
    )


class _Home(NamedTuple):
    """The list that has a step: the root, or a branch of a parallel step of that name."""

    step: str | None
    branch: int


class _Placed(NamedTuple):
    """A step at its place; ``name`` tells steps apart also when a name stands twice."""

    name: str
    path: Path
    home: _Home
    content: JsonObject


ROOT = _Home(None, 0)


def _steps(old: Sequence[JsonValue], new: Sequence[JsonValue]) -> Iterator[StepDifference]:
    before = _by_name(_walk(old, prefix="", home=ROOT))
    after = _by_name(_walk(new, prefix="", home=ROOT))
    order = {name: index for index, name in enumerate(before)}
    stayed = _stayed(before, after, order)
    gone = [name for name in before if name not in after]
    for name, now in after.items():
        was = before.get(name)
        while gone and was and order[gone[0]] < order[name]:
            yield _removed(before[gone.pop(0)])
        if was is None:
            yield StepDifference(name=now.name, outcome="added", new_path=now.path)
            continue
        fields = tuple(_fields(was.content, now.content))
        is_moved = name not in stayed
        if fields or is_moved:
            yield StepDifference(
                name=now.name,
                outcome="changed" if fields else "moved",
                is_moved=is_moved,
                old_path=was.path,
                new_path=now.path,
                fields=fields,
            )
    for name in gone:
        yield _removed(before[name])


def _removed(was: _Placed) -> StepDifference:
    return StepDifference(name=was.name, outcome="removed", old_path=was.path)


def _walk(steps: Sequence[JsonValue], *, prefix: str, home: _Home) -> Iterator[_Placed]:
    """Yield all steps in document order; the branches of a step are not part of its content."""
    for index, step in enumerate(steps):
        path = child_path(prefix, index)
        content: JsonObject = {**step} if isinstance(step, Mapping) else {"step": step}
        named = content.pop("name", None)
        name = named if isinstance(named, str) else f"step {path}"
        branches = _branches(content)
        if branches:
            content["branches"] = len(branches)
        yield _Placed(name, path, home, content)
        for number, branch in enumerate(branches):
            inside = _Home(name, number)
            yield from _walk(branch, prefix=branch_path(path, number), home=inside)


def _by_name(steps: Iterator[_Placed]) -> dict[str, _Placed]:
    """Return steps by name; a name that stands again gets a number."""
    found: dict[str, _Placed] = {}
    for step in steps:
        key, count = step.name, 1
        while key in found:
            count += 1
            key = f"{step.name}\0{count}"
        found[key] = step
    return found


def _branches(content: Mapping[str, JsonValue]) -> list[list[JsonValue]]:
    if content.get("type") != "parallel":
        return []
    return [_listed(branch) for branch in _listed(content.get("branches"))]


def _stayed(
    before: Mapping[str, _Placed], after: Mapping[str, _Placed], order: Mapping[str, int]
) -> set[str]:
    """Return the steps that stand where they were, seen from the others of their list.

    As few steps as possible count as moved: of each list, the longest part that has the same
    order in both stays.
    """
    lists: dict[_Home, list[str]] = {}
    for name, now in after.items():
        was = before.get(name)
        if was and was.home == now.home:
            lists.setdefault(now.home, []).append(name)
    stayed: set[str] = set()
    for names in lists.values():
        stayed.update(names[index] for index in _rising([order[name] for name in names]))
    return stayed


def _rising(numbers: Sequence[int]) -> list[int]:
    """Return the indexes of a longest rising part of different numbers."""
    lowest: list[int] = []
    ends: list[int] = []
    previous: list[int | None] = []
    for index, number in enumerate(numbers):
        length = bisect_left(lowest, number)
        previous.append(ends[length - 1] if length else None)
        lowest[length : length + 1] = [number]
        ends[length : length + 1] = [index]
    found: list[int] = []
    at = ends[-1] if ends else None
    while at is not None:
        found.append(at)
        at = previous[at]
    return found


def _fields(old: JsonObject, new: JsonObject, *, within: str = "") -> Iterator[FieldDifference]:
    for name in sorted({*old, *new}):
        field = within + name.replace("~", "~0").replace("/", "~1")
        if name not in old:
            yield FieldDifference(field=field, outcome="added", new=new[name])
        elif name not in new:
            yield FieldDifference(field=field, outcome="removed", old=old[name])
        else:
            yield from _values(old[name], new[name], field=field)


def _values(old: JsonValue, new: JsonValue, *, field: str) -> Iterator[FieldDifference]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _fields(old, new, within=f"{field}/")
    elif not _same(old, new):
        yield FieldDifference(field=field, outcome="changed", old=old, new=new)


def _same(old: JsonValue, new: JsonValue) -> bool:
    """Whether two JSON values are the same; for Python, ``True`` equals ``1``."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_same(old[name], new[name]) for name in old)
    return old == new


def _without(content: JsonObject, name: str) -> JsonObject:
    return {field: value for field, value in content.items() if field != name}


def _listed(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []
