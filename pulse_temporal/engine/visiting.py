"""The methods of an engine about people who sign in to its pages."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from pulse_temporal.engine.operations import Methods, operation
from pulse_temporal.model.runs import Page
from pulse_temporal.model.sessions import NewLoginLink, NewWebSession, WebSession

LINK_LASTS = timedelta(minutes=10)


class Visiting(Methods):
    """Who has signed in to the pages; Postgres alone is asked.

    A session lasts 12 hours, and is over after 2 hours without a request.
    """

    @operation
    async def create_login_link(
        self,
        name: str,
        *,
        scopes: Collection[str],
        tenants: Collection[str] | None = None,
        expires_in: timedelta = LINK_LASTS,
    ) -> NewLoginLink:
        """Make a link that signs somebody in to the pages, once.

        Its address is that of the pages, ``/sign-in/link/`` and the token.

        Args:
            name: Of whom it signs in; one line of 1 to 200 characters.
            scopes: What they may do, such as ``runs:read``; docs/operate/identity.md lists them.
            tenants: Whose data they may see; None: that of all tenants.
            expires_in: How long it can be used, up to 7 days.

        Returns:
            The link and its token, which cannot be read again.

        Raises:
            InvalidInputError: A scope is unknown, a name too long, a length out of bounds.
        """
        return await self._parts.visits.create_link(
            name, scopes=scopes, tenants=tenants, expires_in=expires_in
        )

    @operation
    async def spend_login_link(
        self, token: str, *, address: str | None = None, browser: str | None = None
    ) -> NewWebSession:
        """Sign somebody in by a link, which cannot be used again.

        Args:
            token: Of the link.
            address: From where they come; cut at 200 bytes, as is ``browser``.
            browser: What their browser calls itself.

        Returns:
            The session and its token, which cannot be read again.

        Raises:
            CredentialError: It was used before, is too old, or never was.
        """
        return await self._parts.visits.spend_link(token, address=address, browser=browser)

    @operation
    async def begin_session(
        self,
        user_id: str,
        *,
        name: str,
        scopes: Collection[str],
        tenants: Collection[str] | None,
        address: str | None = None,
        browser: str | None = None,
    ) -> NewWebSession:
        """Sign somebody in whom an OpenID Connect provider has recognised.

        Args:
            user_id: Stays the same for ever, for example ``oidc:4711``.
            name: For people.
            scopes: What they may do.
            tenants: Whose data they may see; None: that of all tenants.
            address: From where they come; cut at 200 bytes, as is ``browser``.
            browser: What their browser calls itself.

        Returns:
            The session and its token, which cannot be read again.

        Raises:
            InvalidInputError: A scope is unknown, or a name too long.
        """
        return await self._parts.visits.begin(
            user_id, name=name, scopes=scopes, tenants=tenants, address=address, browser=browser
        )

    @operation
    async def authenticate_session(self, token: str) -> WebSession:
        """Return the session that a token is of, and note that it was used.

        Args:
            token: Of the cookie.

        Raises:
            CredentialError: There is no such session, or it is over.
        """
        return await self._parts.visits.authenticate(token)

    @operation
    async def list_sessions(
        self, *, user_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[WebSession]:
        """Return one page of sessions that go on, newest first.

        Args:
            user_id: Narrows to those of one person.
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.

        Raises:
            InvalidInputError: ``limit`` or ``cursor`` is wrong.
        """
        return await self._parts.visits.list_page(user_id=user_id, limit=limit, cursor=cursor)

    @operation
    async def end_session(
        self, session_id: str, *, user_id: str | None = None, reason: str | None = None
    ) -> WebSession:
        """Sign somebody out, at once.

        Args:
            session_id: Which session.
            user_id: Narrows to those of one person.
            reason: Why, for the audit; cut at 1 000 bytes.

        Raises:
            NotFoundError: There is no such session, or it is over.
        """
        return await self._parts.visits.end(session_id, user_id=user_id, reason=reason)

    @operation
    async def is_anybody_known(self) -> bool:
        """Return whether somebody can come in: by a key, a session or a login link."""
        return await self._parts.visits.is_anybody_known()
