"""A statement as Postgres takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as Postgres takes it.

    Attributes:
        name: As in ``session.row``.
        text: SQL with numbered parameters.
        parameters: Their names, in the order of the numbers.
    """

    name: str
    text: str
    parameters: tuple[str, ...]

    def arguments(self, given: Mapping[str, object]) -> list[object]:
        """Return values in the order of the numbers.

        Raises:
            TypeError: A name is missing, or is none of this statement's.
        """
        if set(given) != set(self.parameters):
            raise TypeError(
                f"The statement {self.name} takes {', '.join(self.parameters) or 'nothing'}; "
                f"given: {', '.join(given) or 'nothing'}."
            )
        return [given[name] for name in self.parameters]
