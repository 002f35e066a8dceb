"""Where a page of a list ends; lists go by moment of creation and then by id, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

PAGE_BYTES = 8 * 2**20
"""What definitions and contexts of one page may weigh together, as JSON."""


@dataclass(frozen=True, slots=True)
class KeysetPosition:
    """A place in a list; the page that follows holds what is older, or as old with a lesser id.

    Attributes:
        at: Moment of creation of the row there; None: before the newest row.
        id: Its id; empty: before all rows of that moment.
    """

    at: datetime | None = None
    id: str = ""

    def not_before(self, moment: datetime | None) -> KeysetPosition:
        """Return the place, or where rows older than ``moment`` begin if that is further."""
        if moment is None or (self.at is not None and (self.at, self.id) <= (moment, "")):
            return self
        return KeysetPosition(moment)


NEWEST = KeysetPosition()
"""Where the first page begins."""
