"""Definitions that are kept with a set, as rows."""

from __future__ import annotations

from collections.abc import Sequence

from pulse_temporal.model.definitions import WorkflowDefinition
from pulse_temporal.model.plan import KeptDefinition
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import rows


async def tenants_of_set(session: Session, set_name: str, *, tenant_id: str | None) -> list[str]:
    """Read which tenants have definitions of a set."""
    found = await session.rows("plans.tenants_of_set", set_name=set_name, tenant_id=tenant_id)
    return [row["tenant_id"] for row in found]


async def read(
    session: Session, tenant_id: str, *, set_name: str, keys: Sequence[str], lock: bool
) -> list[KeptDefinition]:
    """Read a tenant's definitions of a set, and those of some keys.

    Args:
        session: In a transaction, when they are locked.
        tenant_id: Whose.
        set_name: Of the set.
        keys: What the set has now.
        lock: Keep others from changing them until the transaction ends.
    """
    found = await session.rows(
        "plans.lock" if lock else "plans.read",
        tenant_id=tenant_id,
        set_name=set_name,
        keys=list(keys),
    )
    return [
        KeptDefinition(
            definition=rows.definition(row),
            managed_by=row["managed_by"],
            applied_version=row["applied_version"],
            content_version=row["content_version"] or row["version"],
            changed_by=row["changed_by"],
        )
        for row in found
    ]


async def mark(session: Session, stored: WorkflowDefinition, *, set_name: str) -> None:
    """Say that a locked definition is now as its set says."""
    await session.run(
        "plans.mark", definition_id=stored.id, tenant_id=stored.tenant_id, set_name=set_name
    )
