"""Make, list, rotate and revoke API keys, and recognise those that are shown."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe

from pulse_temporal.clock import Clock
from pulse_temporal.errors import (
    CredentialError,
    InvalidInputError,
    KeyExpiredError,
    KeyRevokedError,
    KeyRotatedError,
    NotFoundError,
)
from pulse_temporal.model.acting import present_actor
from pulse_temporal.model.api_keys import TOKEN, ApiKey, NewApiKey
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.runs import Page
from pulse_temporal.postgres.sessions import Session, repeats
from pulse_temporal.services.pages import check_limit, read_cursor, write_cursor
from pulse_temporal.services.people.grants import known_scopes, named
from pulse_temporal.store import api_keys, audit
from pulse_temporal.store.api_keys import KeyContent, KnownKey
from pulse_temporal.store.database import Database
from pulse_temporal.store.places import KeysetPosition

REMEMBERED = timedelta(seconds=10)
"""How long a process does not look a key up again: until then, a revoked one works on."""

MOST_REMEMBERED = 10_000
LONGEST_GRACE = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class _Memory:
    """A key as it was read."""

    known: KnownKey
    until: datetime


class ApiKeys:
    """Makes, lists, rotates, revokes and recognises keys.

    Args:
        database: Where they are.
        clock: Tells the time.
    """

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._remembered: dict[str, _Memory] = {}

    async def create(
        self,
        name: str,
        *,
        scopes: Collection[str],
        tenant_id: str | None,
        expires_at: datetime | None,
        reason: str | None,
    ) -> NewApiKey:
        """Make a key; see ``Engine.create_api_key``."""
        content = KeyContent(
            tenant_id=None if tenant_id is None else named("tenant_id", tenant_id),
            name=named("name", name),
            scopes=known_scopes(scopes),
            expires_at=_later(expires_at, now=self.clock()),
        )
        # Not repeated: two ids of one key would both work, and one of them would be unknown.
        async with self.database.transaction() as session:
            made = await _insert(session, content)
            await audit.record(
                session,
                "key.create",
                made.key.id,
                tenant_id=tenant_id,
                reason=reason,
                detail={"name": content.name, "scopes": [*content.scopes]},
            )
        return made

    async def list_page(
        self, *, tenant_id: str | None, limit: int, cursor: str | None
    ) -> Page[ApiKey]:
        """Return one page of keys; see ``Engine.list_api_keys``."""
        check_limit(limit)
        async with self.database.session() as session:
            found = await api_keys.list_page(
                session, tenant_id=tenant_id, after=read_cursor(cursor), limit=limit
            )
        shown = found[:limit]
        more = len(found) > limit
        end = write_cursor(KeysetPosition(shown[-1].created_at, shown[-1].id)) if more else None
        return Page[ApiKey](items=tuple(shown), next_cursor=end)

    @repeats
    async def revoke(self, key_id: str, *, tenant_id: str | None, reason: str | None) -> ApiKey:
        """Take a key away; see ``Engine.revoke_api_key``."""
        async with self.database.transaction() as session:
            found = await _locked(session, key_id, tenant_id=tenant_id)
            if found.revoked_at is None:
                found = await api_keys.revoke(session, found.id)
                await audit.record(
                    session, "key.revoke", found.id, tenant_id=found.tenant_id, reason=reason
                )
        self._remembered.pop(key_id, None)
        return found

    async def rotate(
        self, key_id: str, *, tenant_id: str | None, grace: timedelta, reason: str | None
    ) -> NewApiKey:
        """Make the key that comes after another; see ``Engine.rotate_api_key``."""
        if not timedelta() <= grace <= LONGEST_GRACE:
            raise InvalidInputError(f"grace must be 0 to {LONGEST_GRACE.days} days.")
        async with self.database.transaction() as session:
            old = await _locked(session, key_id, tenant_id=tenant_id)
            if _is_over(old, self.clock()):
                raise KeyRevokedError(f"Key {old.id} is over; make a new one.")
            if old.replaced_by is not None:
                raise KeyRotatedError(f"Key {old.id} was rotated before, to {old.replaced_by}.")
            content = KeyContent(old.tenant_id, old.name, old.scopes, old.expires_at)
            made = await _insert(session, content)
            await api_keys.replace(session, old.id, replaced_by=made.key.id, grace=grace)
            await audit.record(
                session,
                "key.rotate",
                old.id,
                tenant_id=old.tenant_id,
                reason=reason,
                detail={"replacedBy": made.key.id},
            )
        self._remembered.pop(key_id, None)
        return made

    async def authenticate(self, token: str) -> ApiKey:
        """Return the key that a token is of; see ``Engine.authenticate_api_key``."""
        parts = TOKEN.fullmatch(token)
        known = await self._find(f"key_{parts[1]}") if parts else None
        # The secret is looked at first: who does not have it learns nothing about the key.
        if parts is None or known is None or not _is_secret(parts[2], known):
            raise CredentialError("The token is not of any key.")
        key, now = known.key, self.clock()
        if key.revoked_at is not None:
            raise KeyRevokedError(f"Key {key.id} was revoked.")
        if key.has_expired(now):
            raise KeyExpiredError(f"Key {key.id} has expired.")
        return key

    async def _find(self, key_id: str) -> KnownKey | None:
        """Read a key, or remember it; whoever shows it has then used it."""
        now = self.clock()
        remembered = self._remembered.get(key_id)
        if remembered is not None and now < remembered.until:
            return remembered.known
        async with self.database.session() as session:
            known = await api_keys.find(session, key_id)
            if known is None:
                return None
            if known.key.revoked_at is None:
                await api_keys.note_use(session, key_id)
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[key_id] = _Memory(known, now + REMEMBERED)
        return known


async def _insert(session: Session, content: KeyContent) -> NewApiKey:
    key_id, secret = new_id("key"), token_urlsafe(32)
    key = await api_keys.insert(
        session,
        key_id,
        content,
        secret_sha256=sha256(secret.encode()).digest(),
        created_by=present_actor().id,
    )
    return NewApiKey(key=key, token=f"pulse_sk_{key_id.removeprefix('key_')}_{secret}")


async def _locked(session: Session, key_id: str, *, tenant_id: str | None) -> ApiKey:
    found = await api_keys.lock(session, key_id, tenant_id=tenant_id)
    if found is None:
        raise NotFoundError(f"There is no API key {key_id}.")
    return found


def _is_secret(secret: str, known: KnownKey) -> bool:
    return hmac.compare_digest(sha256(secret.encode()).digest(), known.secret_sha256)


def _is_over(key: ApiKey, now: datetime) -> bool:
    return key.revoked_at is not None or key.has_expired(now)


def _later(moment: datetime | None, *, now: datetime) -> datetime | None:
    if moment is not None and (moment.tzinfo is None or moment <= now):
        raise InvalidInputError("expires_at must be a moment to come, with a time zone.")
    return moment
