"""Copy a definition that may be hostile, and find what pydantic cannot see.

Pydantic checks the copy afterwards. The copy is bounded in size. It has the keys and indexes of
the input, so that findings of both name the same places; what was refused here is replaced by
something harmless, so that nothing is reported twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import BaseModel, JsonValue
from pydantic.alias_generators import to_camel
from pydantic_core import to_json

from pulse_temporal.config import HARD_JSON_BYTES, Limits
from pulse_temporal.errors import JsonValueError
from pulse_temporal.model.canonical import MAX_DEPTH, canonical_tree, scrub_json
from pulse_temporal.model.plain import article, is_mapping, is_sequence, json_pointer
from pulse_temporal.model.problems import MAX_PROBLEMS, Finding, Place

LEVELS_ABOVE = 3
"""Levels of JSON around the fields of a root step: the definition, the list, the step."""

LEVELS_A_BLOCK = 3
"""Levels of JSON that each parallel step adds: its branches, the branch, the inner step."""

DEEPEST_NESTING = (MAX_DEPTH - LEVELS_ABOVE - 1) // LEVELS_A_BLOCK
"""How deep parallel steps can be nested at all within the depth of canonical JSON."""

_HARMLESS_BRANCH: list[object] = [{"type": "delay", "name": "x", "delay_ms": 1}]


class Intake:
    """Copies one definition and collects ``findings`` on the way; for one use."""

    def __init__(self, limits: Limits) -> None:
        self.findings: list[Finding] = []
        self._limits = limits
        self._steps_left = limits.steps
        self._config_bytes_left = limits.definition_bytes
        self._names: dict[str, Place] = {}

    def read(self, data: Mapping[str, object]) -> dict[str, object]:
        """Return a copy; note every broken rule that the models do not check."""
        copy = self._fields(data, ())
        if "config" in copy:
            copy["config"] = self._config(copy["config"], ("config",), MAX_DEPTH - 1)
        if "steps" in copy:
            copy["steps"] = self._steps(copy["steps"], ("steps",), 0)
        size = len(scrub_json(copy, max_bytes=2 * HARD_JSON_BYTES).encode())
        if size > self._limits.definition_bytes:
            allowed = self._limits.definition_bytes
            self._note((), f"has {size} bytes as JSON in UTF-8; at most {allowed} are allowed")
        return copy

    def _note(self, place: Place, message: str) -> None:
        if len(self.findings) <= MAX_PROBLEMS:
            self.findings.append(Finding(place, message))

    def _fields(self, data: object, place: Place) -> dict[str, object]:
        copy: dict[str, object] = {}
        fields = dict(data) if isinstance(data, BaseModel) or is_mapping(data) else {}
        for key, value in fields.items():
            if not isinstance(key, str):
                self._note(place, f"has a key that is {article(key)}; field names are text")
            elif "_" in key and (twin := to_camel(key)) in fields and twin != key:
                self._note((*place, key), f'is the same field as "{twin}"; send one of them')
            else:
                copy[key] = value
        return copy

    def _steps(self, value: object, place: Place, nesting: int) -> object:
        if not is_sequence(value):
            return value if is_mapping(value) or isinstance(value, str) else None
        copy: list[object] = []
        for index, step in enumerate(value):
            if self._steps_left == 0:
                self._note_too_many_steps()
                return copy or _HARMLESS_BRANCH
            self._steps_left -= 1
            copy.append(self._step(step, (*place, index), nesting))
        return copy

    def _note_too_many_steps(self) -> None:
        found = Finding(
            ("steps",),
            f"has more than {self._limits.steps} steps, those in branches included; "
            f"at most {self._limits.steps} are allowed",
        )
        if found not in self.findings:
            self.findings.append(found)

    def _step(self, step: object, place: Place, nesting: int) -> object:
        if not (is_mapping(step) or isinstance(step, BaseModel)):
            return step
        copy = self._fields(step, place)
        self._note_name(copy.get("name"), place)
        for key in ("delayMs", "delay_ms"):
            self._note_delay(copy.get(key), (*place, key))
        for key in ("retryPolicy", "retry_policy"):
            if is_mapping(copy.get(key)):
                copy[key] = self._fields(copy[key], (*place, key))
        if copy.get("config") is not None:
            levels = MAX_DEPTH - LEVELS_ABOVE - LEVELS_A_BLOCK * nesting
            copy["config"] = self._config(copy["config"], (*place, "config"), levels)
        if "branches" in copy:
            copy["branches"] = self._branches(copy["branches"], place, nesting)
        return copy

    def _note_name(self, name: object, place: Place) -> None:
        if not isinstance(name, str):
            return
        first = self._names.setdefault(name, place)
        if first != place:
            self._note(
                (*place, "name"),
                f"is the name of {json_pointer(first)} too; names are unique in a "
                "definition, branches included",
            )

    def _note_delay(self, value: object, place: Place) -> None:
        if isinstance(value, int) and value > self._limits.delay // timedelta(milliseconds=1):
            allowed = self._limits.delay // timedelta(milliseconds=1)
            self._note(place, f"must be at most {allowed} ({_duration(self._limits.delay)})")

    def _branches(self, value: object, place: Place, nesting: int) -> object:
        if not is_sequence(value):
            return value if is_mapping(value) or isinstance(value, str) else None
        deepest = min(self._limits.depth, DEEPEST_NESTING)
        if nesting >= deepest:
            self._note(place, f"lies in {nesting} parallel steps; at most {deepest} may nest")
            # Ends the recursion: a block may contain itself.
            return [_HARMLESS_BRANCH, _HARMLESS_BRANCH]
        place = (*place, "branches")
        allowed = self._limits.branches
        if len(value) > allowed:
            self._note(place, f"has {len(value)} branches; at most {allowed} are allowed")
        return [
            self._steps(branch, (*place, index), nesting + 1)
            for index, branch in enumerate(value[:allowed])
        ]

    def _config(self, value: object, place: Place, levels: int) -> object:
        if not (is_mapping(value) or isinstance(value, BaseModel)):
            return value
        # A thousand steps may share one large or broken config: stop copying when the definition
        # is too large or has problems enough.
        if len(self.findings) > MAX_PROBLEMS or self._config_bytes_left < 0:
            return {}
        clean: JsonValue = {}
        try:
            clean = canonical_tree(
                value, where="", max_bytes=self._limits.definition_bytes, max_depth=levels
            )
        except JsonValueError as error:
            inner = [part.replace("~1", "/").replace("~0", "~") for part in _parts(error.pointer)]
            self._note((*place, *inner), str(error).removeprefix(f"{error.pointer}: "))
        self._config_bytes_left -= len(to_json(clean))
        return clean


def _parts(pointer: str) -> list[str]:
    return pointer.split("/")[1:]


def _duration(length: timedelta) -> str:
    return f"{length.days} days" if length == timedelta(days=length.days) else str(length)
