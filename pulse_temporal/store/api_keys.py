"""Keys of programs as rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pulse_temporal.model.api_keys import ApiKey
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.places import KeysetPosition
from pulse_temporal.store.rows import required


@dataclass(frozen=True, slots=True)
class KeyContent:
    """What a new key is to be.

    Attributes:
        tenant_id: Whose data it may see; None: that of all tenants.
        name: For people.
        scopes: What it may do.
        expires_at: From when on it is refused; None: never.
    """

    tenant_id: str | None
    name: str
    scopes: tuple[str, ...]
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key, and the hash by which its secret is recognised."""

    key: ApiKey
    secret_sha256: bytes


async def insert(
    session: Session, key_id: str, content: KeyContent, *, secret_sha256: bytes, created_by: str
) -> ApiKey:
    """Store a new key."""
    row = await session.row(
        "api_keys.insert_key",
        id=key_id,
        tenant_id=content.tenant_id,
        name=content.name,
        scopes=list(content.scopes),
        secret_sha256=secret_sha256,
        created_by=created_by,
        expires_at=content.expires_at,
    )
    return _key(required(row, "a new key"))


async def find(session: Session, key_id: str) -> KnownKey | None:
    """Read a key with the hash of its secret, for whoever shows it."""
    row = await session.row("api_keys.find_key", id=key_id)
    return KnownKey(_key(row), row["secret_sha256"]) if row else None


async def lock(session: Session, key_id: str, *, tenant_id: str | None) -> ApiKey | None:
    """Read a key and keep others from changing it until the transaction ends."""
    row = await session.row("api_keys.lock_key", id=key_id, tenant_id=tenant_id)
    return _key(row) if row else None


async def list_page(
    session: Session, *, tenant_id: str | None, after: KeysetPosition, limit: int
) -> list[ApiKey]:
    """Read one page of keys, newest first, and one more where there is one."""
    found = await session.rows(
        "api_keys.list_page",
        tenant_id=tenant_id,
        before_at=after.at,
        before_id=after.id,
        row_limit=limit + 1,
    )
    return [_key(row) for row in found]


async def revoke(session: Session, key_id: str) -> ApiKey:
    """Take a locked key away."""
    return _key(required(await session.row("api_keys.revoke_key", id=key_id), "a locked key"))


async def replace(session: Session, key_id: str, *, replaced_by: str, grace: timedelta) -> None:
    """Say which key comes after a locked one, which still works for a while."""
    await session.run("api_keys.replace_key", id=key_id, replaced_by=replaced_by, grace=grace)


async def note_use(session: Session, key_id: str) -> None:
    """Say that a key was shown, at most once a minute."""
    await session.run("api_keys.note_use", id=key_id)


def _key(row: Record) -> ApiKey:
    return ApiKey.model_validate({name: row[name] for name in ApiKey.model_fields})
