"""Frozen definitions of runs: what this release may act on, and what it can only show."""

from __future__ import annotations

import threading
from collections import OrderedDict

from pydantic import JsonValue, ValidationError

from pulse_temporal.errors import NotUnderstoodError
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.store.json_columns import has_long_number, json_object

ADOPTED = "(adopted)"
"""Stands for what a snapshot of the TypeScript Pulse does not say."""

KEPT_CHARS = 4 * 1024 * 1024
"""Text whose parsed form is kept; parsed, it takes about ten times as much memory."""


class KeptSnapshots:
    """The snapshots that were parsed last, bounded by the size of their texts."""

    def __init__(self) -> None:
        self._parsed: OrderedDict[str, DefinitionSnapshot] = OrderedDict()
        self._chars = 0
        self._lock = threading.Lock()  # engines of several threads share it

    def get(self, text: str) -> DefinitionSnapshot | None:
        """Return the parsed form of a text; None when it is not kept."""
        with self._lock:
            found = self._parsed.get(text)
            if found is not None:
                self._parsed.move_to_end(text)
            return found

    def put(self, text: str, snapshot: DefinitionSnapshot) -> None:
        """Keep the parsed form of a text; the least used ones make room."""
        with self._lock:
            if text in self._parsed or len(text) > KEPT_CHARS:
                return
            self._parsed[text] = snapshot
            self._chars += len(text)
            while self._chars > KEPT_CHARS:
                dropped, _ = self._parsed.popitem(last=False)
                self._chars -= len(dropped)


_kept = KeptSnapshots()


def snapshot(text: str) -> DefinitionSnapshot:
    """Parse a snapshot to act on it; equal texts share one value.

    What it holds can be changed, so it must never reach handlers, hooks or callers: they are
    given ``own_snapshot`` or ``shown_snapshot``.

    Raises:
        NotUnderstoodError: It holds what this release does not know.
    """
    found = _kept.get(text)
    if found is None:
        found = own_snapshot(text)
        _kept.put(text, found)
    return found


def own_snapshot(text: str) -> DefinitionSnapshot:
    """Parse a snapshot for one reader alone.

    A field that this release does not know may change what the run does, so it is never passed
    over; only those of the TypeScript Pulse are, whose snapshots name no definition.

    Raises:
        NotUnderstoodError: It holds what this release does not know.
    """
    try:
        if not has_long_number(text):
            return DefinitionSnapshot.model_validate_json(text)
        return DefinitionSnapshot.model_validate(json_object(text))
    except ValidationError as error:
        fields = json_object(text)
        if "definitionId" not in fields:
            return _adopted(fields)
        raise NotUnderstoodError(_reason(error)) from None


def shown_snapshot(text: str) -> DefinitionSnapshot:
    """Parse a snapshot to show it; never raises.

    What this release does not understand has no steps, the reason in ``not_understood``, and
    the stored fields in ``raw``.
    """
    try:
        return own_snapshot(text)
    except NotUnderstoodError as error:
        raw = json_object(text)
        version = raw.get("version")
        return DefinitionSnapshot(
            definition_id=_text(raw.get("definitionId")),
            version=version if isinstance(version, int) else 1,
            name=_text(raw.get("name")),
            trigger_type=_text(raw.get("triggerType")),
            steps=[],
            not_understood=str(error),
            raw=raw,
        )


def _adopted(fields: dict[str, JsonValue]) -> DefinitionSnapshot:
    known = {"definitionId": "", "name": ADOPTED, "triggerType": ADOPTED} | fields
    try:
        return DefinitionSnapshot.model_validate(known, extra="ignore")
    except ValidationError as error:
        raise NotUnderstoodError(_reason(error)) from None


def _reason(error: ValidationError) -> str:
    """Name the place that is not understood; values stay out of it."""
    return reason(error, what="The definition that this run follows")


def reason(error: ValidationError, *, what: str) -> str:
    """Return where a stored definition is not understood, and what to do."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "its top"
    return (
        f"{what} needs a newer Pulse than this process runs: {place} is not understood "
        f"({first['type']}). Update this process."
    )


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ADOPTED
