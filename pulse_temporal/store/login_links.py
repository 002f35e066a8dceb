"""Links that sign somebody in, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pulse_temporal.model.sessions import LoginLink
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.rows import required


@dataclass(frozen=True, slots=True)
class LinkContent:
    """Whom a new link signs in.

    Attributes:
        name: Of whom.
        tenants: Whose data they may see; None: that of all tenants.
        scopes: What they may do.
    """

    name: str
    tenants: tuple[str, ...] | None
    scopes: tuple[str, ...]


async def create(
    session: Session,
    link_id: str,
    content: LinkContent,
    *,
    token_sha256: bytes,
    created_by: str,
    lifetime: timedelta,
) -> LoginLink:
    """Store a new link."""
    row = await session.row(
        "login_links.create_link",
        id=link_id,
        token_sha256=token_sha256,
        name=content.name,
        tenants=None if content.tenants is None else list(content.tenants),
        scopes=list(content.scopes),
        created_by=created_by,
        lifetime=lifetime,
    )
    return _link(required(row, "a new link"))


async def spend(session: Session, token_sha256: bytes) -> LoginLink | None:
    """Use a link up; None when it cannot be used."""
    row = await session.row("login_links.spend", token_sha256=token_sha256)
    return _link(row) if row else None


def _link(row: Record) -> LoginLink:
    return LoginLink.model_validate({name: row[name] for name in LoginLink.model_fields})
