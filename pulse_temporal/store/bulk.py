"""Bulk operations as rows, and their items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic_core import to_json

from pulse_temporal.errors import PulseError
from pulse_temporal.model.acting import Actor, noted
from pulse_temporal.model.bulk import ELIGIBLE, BulkItem, BulkKind, BulkOperation, BulkOutcome
from pulse_temporal.model.values import JsonObject
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.json_columns import json_object
from pulse_temporal.store.places import KeysetPosition
from pulse_temporal.store.rows import required

KINDS = sorted(ELIGIBLE)


@dataclass(frozen=True, slots=True)
class NewBulk:
    """What a new operation is to be.

    Attributes:
        filter: Which runs; None: they are named.
        repeats: The operation whose failed items it is about.
        request_hash: Of what was asked for, to be compared where the key comes again.
    """

    id: str
    tenant_id: str
    kind: str
    name: str | None
    reason: str | None
    filter: JsonObject | None
    rate: float
    task_queue: str
    actor: Actor
    request_id: str | None
    repeats: str | None = None
    idempotency_key: str | None = None
    request_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """An operation that is held, so that one thing is done for it.

    Attributes:
        operation: As it stands.
        walked: Where collecting has come to.
        place: The run whose turn was last.
        request_id: Of the request that has started it.
    """

    operation: BulkOperation
    walked: KeysetPosition
    place: str
    request_id: str | None


@dataclass(frozen=True, slots=True)
class NextItem:
    """A run whose turn it is, and its signal; None: the tenant has no such run."""

    run_id: str
    trigger_id: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """How an item has ended."""

    outcome: BulkOutcome
    code: str | None = None
    error: str | None = None
    generation: int | None = None
    run_ids: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Meant:
    """Which runs of a page something is done to.

    Attributes:
        statuses: That it can be done to.
        failed_step: None for any.
        error: None for any.
        is_ours: Runs of the TypeScript Pulse are left out.
    """

    statuses: Sequence[str]
    failed_step: str | None
    error: str | None
    is_ours: bool


async def insert(session: Session, new: NewBulk) -> BulkOperation | None:
    """Store a new operation; None: its key was used before."""
    row = await session.row(
        "bulk.insert_operation",
        id=new.id,
        tenant_id=new.tenant_id,
        kind=new.kind,
        name=new.name,
        reason=new.reason,
        filter=None if new.filter is None else to_json(new.filter).decode(),
        repeats=new.repeats,
        status="running" if new.filter is None else "collecting",
        rate=new.rate,
        task_queue=new.task_queue,
        actor_id=new.actor.id,
        actor_name=new.actor.name,
        actor_kind=new.actor.kind,
        request_id=new.request_id,
        idempotency_key=new.idempotency_key,
        request_hash=new.request_hash,
    )
    return _operation(row) if row else None


async def find_by_key(
    session: Session, *, tenant_id: str, key: str
) -> tuple[BulkOperation, str] | None:
    """Read the operation of a key, and the hash of what was asked for; None: it is free."""
    row = await session.row("bulk.find_by_key", tenant_id=tenant_id, idempotency_key=key)
    return (_operation(row), row["request_hash"]) if row else None


async def name_items(session: Session, new: NewBulk, run_ids: Sequence[str]) -> BulkOperation:
    """Add the runs that were named to a new operation."""
    added = await session.run(
        "bulk.name_items", operation_id=new.id, tenant_id=new.tenant_id, run_ids=list(run_ids)
    )
    return await _set_items(session, new, added)


async def repeat_items(session: Session, new: NewBulk) -> BulkOperation:
    """Add the runs with which another operation has failed to a new one."""
    added = await session.run(
        "bulk.repeat_items", operation_id=new.id, tenant_id=new.tenant_id, repeats=new.repeats
    )
    return await _set_items(session, new, added)


async def _set_items(session: Session, new: NewBulk, items: int) -> BulkOperation:
    row = await session.row("bulk.set_items", id=new.id, tenant_id=new.tenant_id, items=items)
    return _operation(required(row, "a new operation"))


async def get(
    session: Session, operation_id: str, *, tenant_id: str | None
) -> BulkOperation | None:
    """Read an operation."""
    row = await session.row("bulk.get_operation", id=operation_id, tenant_id=tenant_id)
    return _operation(row) if row else None


async def lock(
    session: Session, operation_id: str, *, tenant_id: str | None
) -> BulkOperation | None:
    """Read an operation and let nobody work on it until the transaction ends."""
    row = await session.row("bulk.lock_operation", id=operation_id, tenant_id=tenant_id)
    return _operation(row) if row else None


async def abort(session: Session, operation: BulkOperation) -> BulkOperation:
    """End a locked operation."""
    row = await session.row("bulk.abort", id=operation.id, tenant_id=operation.tenant_id)
    return _operation(required(row, "a locked operation"))


async def list_page(
    session: Session, *, tenant_id: str | None, after: KeysetPosition, limit: int
) -> list[BulkOperation]:
    """Read one page of operations, newest first, and one more where there is one."""
    asked = {"before_at": after.at, "before_id": after.id, "row_limit": limit + 1}
    if tenant_id is None:
        found = await session.rows("bulk.list_operations_of_all", **asked)
    else:
        found = await session.rows("bulk.list_operations", **asked, tenant_id=tenant_id)
    return [_operation(row) for row in found]


async def list_items(
    session: Session,
    operation: BulkOperation,
    *,
    outcome: str | None,
    after: KeysetPosition,
    limit: int,
) -> list[BulkItem]:
    """Read one page of items, in the order of their turns, and one more where there is one."""
    asked = {
        "operation_id": operation.id,
        "tenant_id": operation.tenant_id,
        "after_id": after.id,
        "row_limit": limit + 1,
    }
    if outcome is None:
        found = await session.rows("bulk.list_items", **asked)
    else:
        found = await session.rows("bulk.list_items_of_outcome", **asked, outcome=outcome)
    return [_item(row) for row in found]


async def meant(
    session: Session, run_ids: Sequence[str], which: Meant, *, tenant_id: str
) -> list[str]:
    """Return the runs of a page that something would be done to, newest first."""
    found = await session.rows("bulk.meant", **_which(run_ids, which), tenant_id=tenant_id)
    return [row["id"] for row in found]


async def failed_as(session: Session, run_id: str, *, tenant_id: str) -> dict[str, str] | None:
    """Return the fields of a filter that means what failed as this run; None: it has not failed.

    A field is missing where no step has failed, or nothing was said.
    """
    row = await session.row("bulk.failed_as", run_id=run_id, tenant_id=tenant_id)
    if row is None:
        return None
    found = {
        "definition_id": row["definition_id"],
        "failed_step": row["step_name"],
        "error": row["error"],
    }
    return {name: value for name, value in found.items() if value is not None}


async def statuses(
    session: Session, run_ids: Sequence[str], *, tenant_id: str
) -> dict[str, tuple[str, bool]]:
    """Return how runs stand, newest first, and whether the TypeScript Pulse made them."""
    found = await session.rows("bulk.statuses", run_ids=list(run_ids), tenant_id=tenant_id)
    return {row["id"]: (row["status"], row["is_foreign"]) for row in found}


async def due(session: Session, *, task_queue: str, limit: int) -> list[tuple[str, str]]:
    """Return operations that are due, one of each tenant at most, and whose they are."""
    found = await session.rows("bulk.due", task_queue=task_queue, kinds=KINDS, row_limit=limit)
    return [(row["id"], row["tenant_id"]) for row in found]


async def next_due(session: Session, *, task_queue: str) -> float | None:
    """Return in how many seconds an operation is due; None: none is open."""
    row = await session.row("bulk.next_due", task_queue=task_queue, kinds=KINDS)
    seconds: float | None = required(row, "the next turn")["seconds"]
    return seconds


async def take_turn(session: Session, operation_id: str, *, tenant_id: str) -> Turn | None:
    """Hold an operation that is due; None: another process has it, or it is over."""
    row = await session.row("bulk.take_turn", id=operation_id, tenant_id=tenant_id)
    if row is None:
        return None
    walked = KeysetPosition(row["walked_at"], row["walked_id"])
    return Turn(_operation(row), walked, row["place"], row["request_id"])


async def collect(session: Session, turn: Turn, run_ids: Sequence[str], which: Meant) -> int:
    """Add those of a page of runs that something can be done to; return how many."""
    operation = turn.operation
    return await session.run(
        "bulk.collect_items",
        **_which(run_ids, which),
        operation_id=operation.id,
        tenant_id=operation.tenant_id,
    )


async def walk_on(session: Session, turn: Turn, until: KeysetPosition | None, added: int) -> None:
    """Record where collecting has come to; None: there are no more runs."""
    await session.run(
        "bulk.walk_on",
        id=turn.operation.id,
        tenant_id=turn.operation.tenant_id,
        added=added,
        walked_at=until.at if until else None,
        walked_id=until.id if until else "",
        is_end=until is None,
    )


async def next_item(session: Session, turn: Turn) -> NextItem | None:
    """Read the item whose turn it is."""
    row = await session.row(
        "bulk.next_item",
        id=turn.operation.id,
        tenant_id=turn.operation.tenant_id,
        place=turn.place,
    )
    return NextItem(row["run_id"], row["trigger_id"]) if row else None


async def end_item(session: Session, turn: Turn, item: NextItem, result: Result) -> None:
    """Record how an item has ended, in the transaction of its effect."""
    operation = turn.operation
    await session.run(
        "bulk.end_item",
        id=operation.id,
        tenant_id=operation.tenant_id,
        run_id=item.run_id,
        outcome=result.outcome,
        code=result.code,
        error=noted(result.error),
        generation=result.generation,
        run_ids=list(result.run_ids),
        pause=timedelta(seconds=1 / operation.rate),
    )


async def postpone(
    session: Session, operation_id: str, *, tenant_id: str, pause: timedelta
) -> None:
    """Let an operation rest that cannot go on now."""
    await session.run("bulk.postpone", id=operation_id, tenant_id=tenant_id, pause=pause)


def result_of(error: PulseError, *, outcome: BulkOutcome) -> Result:
    """Return how an item has ended to which nothing was done."""
    return Result(outcome, code=error.code, error=str(error))


def which_of(kind: BulkKind, *, failed_step: str | None, error: str | None) -> Meant:
    """Return which runs of a page something of this kind can be done to."""
    return Meant(sorted(ELIGIBLE[kind]), failed_step, error, is_ours=kind != "replay")


def _which(run_ids: Sequence[str], which: Meant) -> dict[str, object]:
    return {
        "run_ids": list(run_ids),
        "statuses": list(which.statuses),
        "failed_step": which.failed_step,
        "error": which.error,
        "is_ours": which.is_ours,
    }


def _operation(row: Record) -> BulkOperation:
    fields = {name: row[name] for name in BulkOperation.model_fields if name != "actor"}
    fields["filter"] = None if row["filter"] is None else json_object(row["filter"])
    # Not validated anew: what an older release has accepted can be read.
    actor = Actor.model_construct(
        id=row["actor_id"], name=row["actor_name"], kind=row["actor_kind"]
    )
    return BulkOperation.model_validate({**fields, "actor": actor})


def _item(row: Record) -> BulkItem:
    fields = {name: row[name] for name in BulkItem.model_fields}
    return BulkItem.model_validate({**fields, "run_ids": tuple(row["run_ids"] or ())})
