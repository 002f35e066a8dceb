"""Results that a process has read for a run's steps: its next claim reads only newer ones.

What stands before a place in a list of steps only grows, and a recorded result never changes.
Nothing is trusted all the same: what is known carries a mark of the rows that it was read from,
and a claim whose rows have another one reads everything again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from pulse_temporal.model.values import JsonObject
from pulse_temporal.postgres.connection import Record
from pulse_temporal.store.json_columns import json_object

KEPT_CHARS = 32 * 1024 * 1024
"""Text of results that is kept; that of a run which would fill it alone is read each time."""

NOTHING = "{}"


@dataclass(frozen=True, slots=True)
class KnownResults:
    """The results before one place of a run, as they were read.

    Attributes:
        depth: Place of the list in ``path_numbers``, counted from 1.
        index: Of the step in that list before which they stand.
        mark: Of the rows that they were read from.
        parts: JSON objects, whose names differ.
    """

    depth: int = 1
    index: int = 0
    mark: str = "0"
    parts: tuple[str, ...] = ()

    def read(self) -> JsonObject:
        """Return the results by the names of their steps, made anew for each caller."""
        found: JsonObject = {}
        for part in self.parts:
            found |= json_object(part)
        return found

    @property
    def chars(self) -> int:
        """Return how much text it holds."""
        return sum(map(len, self.parts))


class KeptResults:
    """The results that were read last, by run and list of steps, bounded by their size.

    One engine's only: another database may have a run of the same id.
    """

    def __init__(self, limit: int = KEPT_CHARS) -> None:
        self.limit = limit
        self._known: OrderedDict[tuple[str, str], KnownResults] = OrderedDict()
        self._chars = 0
        self._lock = threading.Lock()

    def before(self, run_id: str, path: str) -> KnownResults:
        """Return what is known of what stands before a step, from its list or one around it."""
        numbers = path.split("/")
        for depth in range(len(numbers), 0, -2):
            key = run_id, "/".join(numbers[: depth - 1])
            with self._lock:
                known = self._known.get(key)
                if known is not None and known.index <= int(numbers[depth - 1]):
                    self._known.move_to_end(key)
                    return known
        return KnownResults()

    def learn(self, run_id: str, path: str, known: KnownResults, row: Record) -> KnownResults:
        """Keep what a claim has read, and return all that its step may see."""
        list_path, _, index = path.rpartition("/")
        parts = known.parts if row["is_known"] else ()
        if row["context"] != NOTHING:
            parts += (row["context"],)
        learned = KnownResults(path.count("/") + 1, int(index), row["context_mark"], parts)
        with self._lock:
            self._put((run_id, list_path), learned)
        return learned

    def _put(self, key: tuple[str, str], known: KnownResults) -> None:
        before = self._known.pop(key, None)
        self._chars -= before.chars if before else 0
        if not known.parts or known.chars > self.limit:
            return
        self._known[key] = known
        self._chars += known.chars
        while self._chars > self.limit:
            _, dropped = self._known.popitem(last=False)
            self._chars -= dropped.chars
