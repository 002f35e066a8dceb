"""The methods of an engine about API keys and the audit."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from pulse_temporal.engine.operations import Methods, operation
from pulse_temporal.model.api_keys import ApiKey, NewApiKey
from pulse_temporal.model.audit import AuditEntry
from pulse_temporal.model.runs import Page

GRACE = timedelta(hours=24)


class Guarding(Methods):
    """Who may ask over HTTP, and who has changed what; Postgres alone is asked."""

    @operation
    async def create_api_key(
        self,
        name: str,
        *,
        scopes: Collection[str],
        tenant_id: str | None = None,
        expires_at: datetime | None = None,
        reason: str | None = None,
    ) -> NewApiKey:
        """Make a key for a program that calls an API of the application.

        Args:
            name: For people; one line of 1 to 200 characters.
            scopes: What it may do, such as ``runs:read``; docs/operate/identity.md lists them.
            tenant_id: Whose data it may see; None: that of all tenants.
            expires_at: From when on it is refused; None: never.
            reason: Why, for the audit; cut at 1 000 bytes.

        Returns:
            The key and its token, which cannot be read again.

        Raises:
            InvalidInputError: A scope is unknown, a name too long, a moment past.
        """
        return await self._parts.api_keys.create(
            name,
            scopes=scopes,
            tenant_id=self._scope.narrow(tenant_id),
            expires_at=expires_at,
            reason=reason,
        )

    @operation
    async def list_api_keys(
        self, *, tenant_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[ApiKey]:
        """Return one page of keys, newest first, those that are over among them.

        Args:
            tenant_id: Narrows to the keys of one tenant.
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.

        Raises:
            InvalidInputError: ``limit`` or ``cursor`` is wrong.
        """
        return await self._parts.api_keys.list_page(
            tenant_id=self._scope.narrow(tenant_id), limit=limit, cursor=cursor
        )

    @operation
    async def revoke_api_key(
        self, key_id: str, *, tenant_id: str | None = None, reason: str | None = None
    ) -> ApiKey:
        """Take a key away, for good; nothing happens to one that was revoked before.

        Other processes may accept it for 10 more seconds.

        Args:
            key_id: Which one.
            tenant_id: Narrows to the keys of one tenant.
            reason: Why, for the audit; cut at 1 000 bytes.

        Raises:
            NotFoundError: There is no such key.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.api_keys.revoke(key_id, tenant_id=narrowed, reason=reason)

    @operation
    async def rotate_api_key(
        self,
        key_id: str,
        *,
        tenant_id: str | None = None,
        grace: timedelta = GRACE,
        reason: str | None = None,
    ) -> NewApiKey:
        """Make a key like another one, which works on for a while.

        Args:
            key_id: Of the old key.
            tenant_id: Narrows to the keys of one tenant.
            grace: How long the old key still works, up to 365 days; zero ends it.
            reason: Why, for the audit; cut at 1 000 bytes.

        Returns:
            The new key and its token, which cannot be read again.

        Raises:
            NotFoundError: There is no such key.
            KeyRevokedError: It is revoked, or has expired.
            KeyRotatedError: It was rotated before.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.api_keys.rotate(
            key_id, tenant_id=narrowed, grace=grace, reason=reason
        )

    @operation
    async def list_audit(
        self,
        *,
        tenant_id: str | None = None,
        subject_id: str | None = None,
        action: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[AuditEntry]:
        """Return one page of who has changed what, newest first.

        Recorded are canceled and retried runs, replayed signals, bulk operations, changed
        definitions and API keys, each in the transaction of the change.

        Args:
            tenant_id: Narrows to what concerns one tenant.
            subject_id: Narrows to a run, signal, definition, key or bulk operation.
            action: Narrows to one, such as ``run.cancel``.
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.

        Raises:
            InvalidInputError: ``limit`` or ``cursor`` is wrong.
        """
        return await self._parts.audit.list_page(
            tenant_id=self._scope.narrow(tenant_id),
            subject_id=subject_id,
            action=action,
            limit=limit,
            cursor=cursor,
        )


class Recognising(Methods):
    """Recognise whoever shows a key, of whatever tenant."""

    @operation
    async def authenticate_api_key(self, token: str) -> ApiKey:
        """Return the key that a token is of, and note that it was used.

        A key is looked up once in 10 seconds in a process, and its ``last_used_at`` is written at
        most once a minute.

        Args:
            token: ``pulse_sk_…``, as ``create_api_key`` has told it.

        Raises:
            CredentialError: There is no such key.
            KeyExpiredError: Its time is over.
            KeyRevokedError: It was taken away.
        """
        return await self._parts.api_keys.authenticate(token)
