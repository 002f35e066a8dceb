"""Which runs a bulk operation is about, page by page: the same for its preview and its items."""

from __future__ import annotations

from dataclasses import dataclass

from pulse_temporal.errors import InvalidInputError
from pulse_temporal.model.bulk import ELIGIBLE, BulkFilter, BulkKind
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import bulk, run_lists
from pulse_temporal.store.places import KeysetPosition

PAGE = 500
"""Runs that are looked at together."""

DEEDS = {
    "retry": "Only failed runs can be retried",
    "cancel": "Only runs that are not over can be canceled",
    "replay": "Any run's signal can be replayed",
}


@dataclass(frozen=True, slots=True)
class Walked:
    """One page of a walk.

    Attributes:
        run_ids: Runs that were found, newest first; ``which`` says which of them are meant.
        until: Where the next page begins; None: there is none.
    """

    run_ids: list[str]
    until: KeysetPosition | None


class Walk:
    """Walks over the runs that a filter means, newest first.

    Args:
        kind: What is to be done to them.
        chosen: The filter, of one tenant.

    Raises:
        InvalidInputError: It can be done to none of them, whatever there is.
    """

    def __init__(self, kind: BulkKind, chosen: BulkFilter) -> None:
        self._wanted = chosen.model_copy(update={"status": _statuses(kind, chosen)})
        self.which: bulk.Meant = bulk.which_of(
            kind, failed_step=chosen.failed_step, error=chosen.error
        )

    async def page(self, session: Session, after: KeysetPosition) -> Walked:
        """Read the page that begins at a place."""
        places = await run_lists.list_places(session, self._wanted, after=after, limit=PAGE + 1)
        shown = places.found[:PAGE]
        until = shown[-1] if len(places.found) > PAGE else places.looked_until
        return Walked([place.id for place in shown], until)


async def fixed(session: Session, chosen: BulkFilter) -> BulkFilter:
    """Return a filter with what a failed run that it names stands for in its place.

    Raises:
        InvalidInputError: It names no failed run of its tenant, or contradicts it.
    """
    run_id = chosen.failed_as
    if run_id is None:
        return chosen
    alike = await bulk.failed_as(session, run_id, tenant_id=chosen.tenant_id or "")
    if alike is None:
        raise InvalidInputError(f"failed_as: there is no failed run {cut_repr(run_id)[:100]}.")
    for name, value in alike.items():
        if getattr(chosen, name) not in (None, value):
            raise InvalidInputError(f"failed_as: the run has another {name} than the filter.")
    return chosen.model_copy(update={**alike, "failed_as": None, "status": "failed"})


def is_about_failures(chosen: BulkFilter) -> bool:
    """Return whether a filter means failed runs alone, as it says how they failed."""
    return any((chosen.failed_step, chosen.error, chosen.failed_as))


def _statuses(kind: BulkKind, chosen: BulkFilter) -> list[str] | None:
    """Return the statuses that a filter means and the deed allows; None: all that there are.

    Raises:
        InvalidInputError: There is none.
    """
    asked, allowed = chosen.statuses, set(ELIGIBLE[kind])
    if kind == "replay" and asked is None and not is_about_failures(chosen):
        return None
    if is_about_failures(chosen):
        allowed &= {"failed"}
    if chosen.attention is not None:
        allowed &= ELIGIBLE["cancel"]
    both = allowed if asked is None else allowed.intersection(asked)
    if not both:
        raise InvalidInputError(f"{DEEDS[kind]}, and the filter means none of those.")
    return sorted(both)
