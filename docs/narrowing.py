"""What a newer OpenAPI document takes away from clients of an older one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

Json: TypeAlias = "dict[str, Any]"


def narrowings(old: Json, new: Json) -> list[str]:
    """Return what clients of the old document could not do any more."""
    return [*_of_paths(_at(old, "paths"), _at(new, "paths")), *_of_schemas(old, new)]


def _of_paths(old: Json, new: Json) -> Iterator[str]:
    for path in old:
        if path not in new:
            yield f"{path} is gone"
            continue
        for method in _at(old, path):
            if method not in _at(new, path):
                yield f"{method} {path} is gone"
                continue
            before, now = _at(old, path, method), _at(new, path, method)
            gone = _parameters(before) - _parameters(now)
            yield from (f"{method} {path} takes no {name}" for name in sorted(gone))
            for status in _at(before, "responses"):
                if status.startswith("2") and status not in _at(now, "responses"):
                    yield f"{method} {path} answers no {status}"


def _of_schemas(old: Json, new: Json) -> Iterator[str]:
    before, now = _at(old, "components", "schemas"), _at(new, "components", "schemas")
    for name in before:
        if name not in now:
            yield f"{name} is gone"
            continue
        lost = set(_at(before, name, "properties")) - set(_at(now, name, "properties"))
        yield from (f"{name} has no {field}" for field in sorted(lost))
        if name.endswith("Input"):
            asked = _names(now, name) - _names(before, name)
            yield from (f"{name} must have {field}" for field in sorted(asked))


def _parameters(operation: Json) -> set[str]:
    return {f"{each['in']} {each['name']}" for each in operation.get("parameters", [])}


def _names(schemas: Json, name: str) -> set[str]:
    return set(schemas[name].get("required", []))


def _at(value: Json, *names: str) -> Json:
    for name in names:
        value = value.get(name, {})
    return value
