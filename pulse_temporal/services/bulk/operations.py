"""Start, foresee, read and abort bulk operations; what they do is done by ``BulkRunner``."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import (
    BulkOverError,
    IdempotencyConflictError,
    InvalidInputError,
    NotFoundError,
)
from pulse_temporal.model.acting import noted, present_actor, present_request
from pulse_temporal.model.bulk import (
    ELIGIBLE,
    HIGHEST_RATE,
    BulkFilter,
    BulkItem,
    BulkKind,
    BulkOperation,
    BulkOutcome,
    BulkPreview,
)
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.runs import RUN_TRANSITIONS, Page
from pulse_temporal.model.values import JsonObject, Name
from pulse_temporal.model.views import BoundedCount
from pulse_temporal.postgres.sessions import Session, repeats
from pulse_temporal.services.bulk.walks import Walk, fixed, is_about_failures
from pulse_temporal.services.pages import check_limit, read_cursor, write_cursor
from pulse_temporal.store import audit, bulk, run_lists, run_views
from pulse_temporal.store.bulk import NewBulk
from pulse_temporal.store.database import Database
from pulse_temporal.store.places import NEWEST, KeysetPosition
from pulse_temporal.store.rows import required

NAME: TypeAdapter[str] = TypeAdapter(Name)
OUTCOMES: tuple[BulkOutcome, ...] = ("pending", "done", "failed", "skipped")
SAMPLES = 5
LOWEST_RATE = 0.01


@dataclass(frozen=True, slots=True)
class ChosenRuns:
    """What to do to which runs of a tenant.

    Attributes:
        filter: Which runs; None: they are named.
        run_ids: Their names, each once.
    """

    kind: BulkKind
    tenant_id: str
    filter: BulkFilter | None = None
    run_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class BulkTerms:
    """How it is to be done: see ``Engine.start_bulk``."""

    reason: str | None
    name: str | None
    rate: float
    key: str | None = None


class BulkOperations:
    """Starts, foresees, reads and aborts bulk operations.

    Args:
        database: Where they are.
        options: Has the task queue, whose workers do them.
    """

    def __init__(self, database: Database, options: EngineOptions) -> None:
        self.database = database
        self.options = options

    @repeats
    async def start(self, chosen: ChosenRuns, terms: BulkTerms) -> BulkOperation:
        """Start an operation; see ``Engine.start_bulk``."""
        if chosen.filter is not None:
            Walk(chosen.kind, chosen.filter)  # refuses what cannot be
        terms = _checked(terms)
        async with self.database.transaction() as session:
            # Before the rest: what was fit to be done the first time may not be so any more.
            known = await _known(session, chosen, terms)
            if known is not None:
                return known
            new = self._new(chosen, terms)
            if chosen.filter is not None:
                new = replace(new, filter=_stored(await fixed(session, chosen.filter)))
            started = await bulk.insert(session, new)
            if started is None:  # another call with the key has committed just now
                return required(await _known(session, chosen, terms), "an operation's key")
            if new.filter is None:
                started = await bulk.name_items(session, new, chosen.run_ids)
            await _record_start(session, started)
        return started

    @repeats
    async def repeat(
        self, operation_id: str, *, tenant_id: str | None, reason: str | None
    ) -> BulkOperation:
        """Start an operation for the failed items of another; see ``Engine.repeat_bulk``."""
        async with self.database.transaction() as session:
            first = await bulk.lock(session, operation_id, tenant_id=tenant_id)
            if first is None:
                raise _unknown(operation_id)
            if not first.is_over:
                raise InvalidInputError(
                    f"Bulk operation {first.id} is {first.status!r}; abort it or wait for its end."
                )
            if first.failed == 0:
                raise InvalidInputError(f"No item of bulk operation {first.id} has failed.")
            terms = BulkTerms(reason=reason or first.reason, name=first.name, rate=first.rate)
            new = self._new(ChosenRuns(_kind(first), first.tenant_id), terms)
            new = replace(new, repeats=first.id)
            await bulk.insert(session, new)
            started = await bulk.repeat_items(session, new)
            await _record_start(session, started)
        return started

    async def preview(self, chosen: ChosenRuns) -> BulkPreview:
        """Return what an operation would be about; see ``Engine.preview_bulk``."""
        async with self.database.session() as session:
            if chosen.filter is None:
                eligible, others = await _named(session, chosen)
                count = BoundedCount(count=len(eligible))
            else:
                wanted = await fixed(session, chosen.filter)
                eligible, is_bounded = await _walked(session, chosen.kind, wanted)
                count = BoundedCount(count=len(eligible), is_bounded=is_bounded)
                others = await _left_out(session, chosen.kind, wanted)
            samples = await run_views.summaries(
                session, eligible[:SAMPLES], tenant_id=chosen.tenant_id
            )
        return BulkPreview(
            kind=chosen.kind, eligible=count, not_eligible=others, samples=tuple(samples)
        )

    async def get(self, operation_id: str, *, tenant_id: str | None) -> BulkOperation | None:
        """Read an operation; see ``Engine.get_bulk``."""
        async with self.database.session() as session:
            return await bulk.get(session, operation_id, tenant_id=tenant_id)

    async def list_page(
        self, *, tenant_id: str | None, limit: int, cursor: str | None
    ) -> Page[BulkOperation]:
        """Return one page of operations; see ``Engine.list_bulk``."""
        check_limit(limit)
        async with self.database.session() as session:
            found = await bulk.list_page(
                session, tenant_id=tenant_id, after=read_cursor(cursor), limit=limit
            )
        shown = found[:limit]
        more = len(found) > limit
        end = write_cursor(KeysetPosition(shown[-1].created_at, shown[-1].id)) if more else None
        return Page[BulkOperation](items=tuple(shown), next_cursor=end)

    async def list_items(
        self,
        operation_id: str,
        *,
        tenant_id: str | None,
        outcome: BulkOutcome | None,
        limit: int,
        cursor: str | None,
    ) -> Page[BulkItem]:
        """Return one page of items; see ``Engine.list_bulk_items``."""
        check_limit(limit)
        if outcome is not None and outcome not in OUTCOMES:
            raise InvalidInputError(
                f"outcome must be {', '.join(OUTCOMES)} or None, not {cut_repr(outcome)[:100]}."
            )
        async with self.database.session() as session:
            operation = await bulk.get(session, operation_id, tenant_id=tenant_id)
            if operation is None:
                raise _unknown(operation_id)
            found = await bulk.list_items(
                session, operation, outcome=outcome, after=read_cursor(cursor), limit=limit
            )
        shown = found[:limit]
        end = None
        if len(found) > limit:
            # Items go by id; a cursor has a moment too.
            end = write_cursor(KeysetPosition(operation.created_at, shown[-1].run_id))
        return Page[BulkItem](items=tuple(shown), next_cursor=end)

    @repeats
    async def abort(
        self, operation_id: str, *, tenant_id: str | None, reason: str | None
    ) -> BulkOperation:
        """End an operation; see ``Engine.abort_bulk``."""
        async with self.database.transaction() as session:
            found = await bulk.lock(session, operation_id, tenant_id=tenant_id)
            if found is None:
                raise _unknown(operation_id)
            if found.status == "completed":
                raise BulkOverError(f"Bulk operation {found.id} is completed.")
            if found.status == "aborted":
                return found
            aborted = await bulk.abort(session, found)
            await audit.record(
                session,
                "bulk.abort",
                found.id,
                tenant_id=found.tenant_id,
                reason=reason,
                detail={"left": found.left},
            )
        return aborted

    def _new(self, chosen: ChosenRuns, terms: BulkTerms) -> NewBulk:
        return NewBulk(
            id=new_id("blk"),
            tenant_id=chosen.tenant_id,
            kind=chosen.kind,
            name=terms.name,
            reason=noted(terms.reason),
            filter=_stored(chosen.filter),
            rate=terms.rate,
            task_queue=self.options.task_queue,
            actor=present_actor(),
            request_id=present_request(),
            idempotency_key=terms.key,
            request_hash=_hash(chosen, terms) if terms.key else None,
        )


async def _record_start(session: Session, started: BulkOperation) -> None:
    detail: JsonObject = {"kind": started.kind}
    if started.filter is None:
        detail["runs"] = started.items
    if started.repeats is not None:
        detail["repeats"] = started.repeats
    await audit.record(
        session,
        "bulk.start",
        started.id,
        tenant_id=started.tenant_id,
        reason=started.reason,
        detail=detail,
    )


async def _known(session: Session, chosen: ChosenRuns, terms: BulkTerms) -> BulkOperation | None:
    """Return the operation that an idempotency key stands for; None: there is none.

    Raises:
        IdempotencyConflictError: It is another one than this.
    """
    key = terms.key
    if key is None:
        return None
    found = await bulk.find_by_key(session, tenant_id=chosen.tenant_id, key=key)
    if found is None:
        return None
    first, request_hash = found
    if request_hash != _hash(chosen, terms):
        raise IdempotencyConflictError(
            f"The idempotency key {key!r} belongs to bulk operation {first.id}, which is another.",
            trigger_id=first.id,
        )
    return first


def _stored(chosen: BulkFilter | None) -> JsonObject | None:
    return None if chosen is None else chosen.model_dump(mode="json", exclude_none=True)


async def _walked(session: Session, kind: BulkKind, chosen: BulkFilter) -> tuple[list[str], bool]:
    """Return the newest runs that are meant, up to the bound, and whether there may be more."""
    walk, found, after = Walk(kind, chosen), list[str](), NEWEST
    while True:
        page = await walk.page(session, after)
        found += await bulk.meant(
            session, page.run_ids, walk.which, tenant_id=chosen.tenant_id or ""
        )
        if page.until is None or len(found) > run_lists.BOUND:
            return found[: run_lists.BOUND], len(found) > run_lists.BOUND
        after = page.until


async def _left_out(
    session: Session, kind: BulkKind, chosen: BulkFilter
) -> dict[str, BoundedCount]:
    """Count the runs that the filter means, and to which nothing can be done, by status."""
    if chosen.attention is not None or is_about_failures(chosen):
        return {}
    asked = chosen.statuses or list(RUN_TRANSITIONS)
    left = [status for status in asked if status not in ELIGIBLE[kind]]
    if not left:
        return {}
    counts = dict(await run_lists.count(session, chosen))
    return {status: counts[status] for status in left if counts[status].count}


async def _named(
    session: Session, chosen: ChosenRuns
) -> tuple[list[str], dict[str, BoundedCount]]:
    """Return which of the runs that were named are eligible, and how many are not, by status."""
    stand = await bulk.statuses(session, chosen.run_ids, tenant_id=chosen.tenant_id)
    others: Counter[str] = Counter()
    eligible: list[str] = []
    for run_id, (status, is_foreign) in stand.items():
        if status in ELIGIBLE[chosen.kind] and not (is_foreign and chosen.kind != "replay"):
            eligible.append(run_id)
        else:
            others[status] += 1
    others["unknown"] = len(chosen.run_ids) - len(stand)
    return eligible, {status: BoundedCount(count=n) for status, n in others.items() if n}


def _kind(operation: BulkOperation) -> BulkKind:
    for kind in ELIGIBLE:
        if kind == operation.kind:
            return kind
    raise InvalidInputError(f"This release does not know how to {operation.kind} runs.")


def _checked(terms: BulkTerms) -> BulkTerms:
    """Return terms that can be kept.

    Raises:
        InvalidInputError: One cannot.
    """
    for what, text in (("name", terms.name), ("idempotency_key", terms.key)):
        if text is not None:
            _check_name(what, text)
    return replace(terms, rate=_rate(terms.rate))


def _rate(given: object) -> float:
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        rate = float(min(given, HIGHEST_RATE + 1))  # no integer is beyond a float then
        if LOWEST_RATE <= rate <= HIGHEST_RATE:
            return rate
    raise InvalidInputError(
        f"rate must be {LOWEST_RATE:g} to {HIGHEST_RATE:,.0f} runs a second, not "
        f"{cut_repr(given)[:100]}."
    )


def _check_name(what: str, text: str) -> None:
    try:
        NAME.validate_python(text)
    except ValidationError as error:
        reason = error.errors(include_input=False)[0]["msg"]
    else:
        return
    raise InvalidInputError(f"{what}: {reason}.")


def _hash(chosen: ChosenRuns, terms: BulkTerms) -> str:
    """Return what tells one wish from another that has the same key."""
    given = _stored(chosen.filter)
    asked = [chosen.kind, given, sorted(chosen.run_ids), terms.reason, terms.name, terms.rate]
    return hashlib.sha256(to_json(asked)).hexdigest()


def _unknown(operation_id: object) -> NotFoundError:
    return NotFoundError(f"There is no bulk operation {cut_repr(operation_id)[:100]}.")
