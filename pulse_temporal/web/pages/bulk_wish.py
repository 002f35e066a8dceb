"""What a page asks to do to many runs: read from its URL or its form, and carried by the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pulse_temporal.clock import utc_now
from pulse_temporal.errors import InvalidInputError
from pulse_temporal.model.bulk import ELIGIBLE, BulkFilter, BulkKind
from pulse_temporal.web.pages.run_list import PERIODS

NARROWS: Mapping[str, str] = {
    "status": "status",
    "attention": "attention",
    "definition": "definition_id",
    "resource": "resource_id",
    "failed_as": "failed_as",
    "after": "created_after",
}
"""The words of URLs, and what the filter calls the same."""

VERBS: Mapping[BulkKind, str] = {"retry": "Retry", "cancel": "Cancel", "replay": "Replay"}


@dataclass(frozen=True, slots=True)
class WishedBulk:
    """What is to be done to which runs.

    Attributes:
        run_ids: The runs that were chosen one by one; without any, the filter says which.
        narrows: The filter, in the words of URLs.
    """

    kind: BulkKind
    run_ids: tuple[str, ...]
    narrows: Mapping[str, str]

    @property
    def filter(self) -> BulkFilter | None:
        """The filter; None where runs were chosen.

        Raises:
            InvalidInputError: A field of it is wrong.
        """
        if self.run_ids:
            return None
        fields: dict[str, object] = {
            NARROWS[word]: value for word, value in self.narrows.items() if value
        }
        return BulkFilter.model_validate(fields)

    @property
    def verb(self) -> str:
        """What is done, as the first word of a question."""
        return VERBS[self.kind]

    @property
    def hidden(self) -> dict[str, str]:
        """The fields of a form that says the same."""
        fields = {"kind": self.kind, "runs": " ".join(self.run_ids)}
        if not self.run_ids:
            fields |= self.narrows
        return {name: value for name, value in fields.items() if value}


def read_wish(given: Mapping[str, str], run_ids: tuple[str, ...] = ()) -> WishedBulk:
    """Return what a form asks for.

    Args:
        given: Its fields.
        run_ids: Runs that were chosen, where the form does not name them.

    Raises:
        InvalidInputError: It is no deed of ours.
    """
    chosen = run_ids or tuple(given.get("runs", "").split())
    narrows = {word: given.get(word, "") for word in NARROWS}
    for kind in ELIGIBLE:
        if given.get("kind") == kind:
            return WishedBulk(kind, chosen, narrows)
    raise InvalidInputError(f"kind must be one of {', '.join(ELIGIBLE)}.")


def first_wish(given: Mapping[str, str], run_ids: tuple[str, ...]) -> WishedBulk:
    """Return what a list asks for: the runs that are chosen in it, or all that it means.

    The period of a list ends now; its beginning is fixed here.

    Raises:
        InvalidInputError: No run is chosen, or the list is none.
    """
    is_all = "all" in given
    wish = read_wish(given, () if is_all else run_ids)
    if not (is_all or wish.run_ids or given.get("failed_as")):
        raise InvalidInputError("Choose runs of the list first, or all that match.")
    period = given.get("since", "")
    if period not in PERIODS:
        raise InvalidInputError(f"since must be one of {', '.join(filter(None, PERIODS))}.")
    length = PERIODS[period][1]
    if length is None:
        return wish
    return replace(wish, narrows={**wish.narrows, "after": (utc_now() - length).isoformat()})
