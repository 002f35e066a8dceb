"""What the emitter was told, written down at once: a file that outlives its process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

Deed = Literal[
    "began",
    "emitted",
    "joined",
    "rolled back",
    "canceled",
    "retried",
    "replayed",
    "refused",
    "surprised",
]


class Entry(BaseModel):
    """One thing that is certain from the moment of its entry.

    Attributes:
        op: Number of the operation.
        did: What is certain; ``began`` is written before, all others after the engine's answer.
        trigger: The signal that was stored, joined, rolled back or replayed.
        runs: The runs that the answer named.
        key: Idempotency key of the signal.
        at: Just after the answer.
        generation: Of the run that was retried.
        error: What the engine said instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    op: int
    did: Deed
    trigger: str | None = None
    runs: tuple[str, ...] = ()
    key: str | None = None
    at: AwareDatetime | None = None
    generation: int | None = None
    error: str | None = None


class Journal:
    """An append-only file of entries; an entry is in it as a whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, entry: Entry) -> None:
        """Add an entry; it survives the death of this process."""
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, entry.model_dump_json(exclude_none=True).encode() + b"\n")
        finally:
            os.close(file)

    def read(self) -> list[Entry]:
        """Return all entries, oldest first."""
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return [Entry.model_validate_json(line) for line in lines]
