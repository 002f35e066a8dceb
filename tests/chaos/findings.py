"""What an audit can find, and the line that sums it up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["lost", "duplicate", "regression", "drift"]

NAMES: dict[Kind, str] = {
    "lost": "lost",
    "duplicate": "duplicate transactional effects",
    "regression": "status regressions",
    "drift": "drift",
}
RUN_ID = re.compile(r"run_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken promise.

    Attributes:
        kind: ``lost``: what was acknowledged is not there, or not finished. ``duplicate``: an
            effect that must be there once is there again, or where it must not be.
            ``regression``: something went on after its end. ``drift``: two views of the same
            thing differ, or nobody expected it.
        check: Name of the check.
        subject: What it is about; names the run where there is one.
    """

    kind: Kind
    check: str
    subject: str

    @property
    def run_id(self) -> str | None:
        """The run that it is about."""
        found = RUN_ID.search(self.subject)
        return found.group() if found else None

    def line(self) -> str:
        """Return it for people."""
        return f"{self.kind}: {self.check}: {self.subject}"


def verdict(findings: Sequence[Finding]) -> str:
    """Count the findings by kind, in words."""
    counts = Counter(finding.kind for finding in findings)
    kinds: tuple[Kind, ...] = get_args(Kind)
    return ", ".join(f"{counts[kind]} {NAMES[kind]}" for kind in kinds)
