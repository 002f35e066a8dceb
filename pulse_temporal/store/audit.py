"""The audit as rows: who has changed what, in the transaction of the change."""

from __future__ import annotations

from pydantic_core import to_json

from pulse_temporal.failpoints import reach
from pulse_temporal.model.acting import Actor, noted, present_actor, present_request
from pulse_temporal.model.audit import AuditAction, AuditEntry
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.values import JsonObject
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.json_columns import json_object
from pulse_temporal.store.places import KeysetPosition


async def record(
    session: Session,
    action: AuditAction,
    subject_id: str,
    *,
    tenant_id: str | None,
    reason: str | None = None,
    detail: JsonObject | None = None,
) -> None:
    """Record who has made a change, in the transaction that made it.

    Args:
        session: In the transaction of the change.
        action: What was done.
        subject_id: To what.
        tenant_id: Whom it concerns; None: all tenants.
        reason: Why; cut at 1 000 bytes.
        detail: Facts of ours; nothing that a tenant has sent.
    """
    await reach("audit.before_write")
    actor = present_actor()
    await session.run(
        "audit.record",
        id=new_id("aud"),
        tenant_id=tenant_id,
        actor_id=actor.id,
        actor_name=actor.name,
        actor_kind=actor.kind,
        action=action,
        subject_id=subject_id,
        reason=noted(reason),
        detail=to_json(detail or {}).decode(),
        request_id=present_request(),
    )


async def list_page(
    session: Session,
    *,
    tenant_id: str | None,
    subject_id: str | None,
    action: str | None,
    after: KeysetPosition,
    limit: int,
) -> list[AuditEntry]:
    """Read one page, newest first, and one more where there is one; a filter of None lets all."""
    place: dict[str, object] = {
        "before_at": after.at,
        "before_id": after.id,
        "action": action,
        "row_limit": limit + 1,
    }
    if subject_id is not None:
        found = await session.rows(
            "audit.list_subject", **place, subject_id=subject_id, tenant_id=tenant_id
        )
    elif tenant_id is not None:
        found = await session.rows("audit.list_tenant", **place, tenant_id=tenant_id)
    else:
        found = await session.rows("audit.list_all", **place)
    return [_entry(row) for row in found]


def _entry(row: Record) -> AuditEntry:
    # Not validated anew: what an older release has accepted can be read.
    actor = Actor.model_construct(
        id=row["actor_id"], name=row["actor_name"], kind=row["actor_kind"]
    )
    return AuditEntry(
        id=row["id"],
        tenant_id=row["tenant_id"],
        created_at=row["created_at"],
        actor=actor,
        action=row["action"],
        subject_id=row["subject_id"],
        reason=row["reason"],
        detail=json_object(row["detail"]),
        request_id=row["request_id"],
    )
