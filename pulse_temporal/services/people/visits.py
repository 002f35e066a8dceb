"""Sign people in to the pages, recognise them, and sign them out."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from hashlib import sha256
from secrets import token_urlsafe

from pulse_temporal.errors import CredentialError, InvalidInputError, NotFoundError
from pulse_temporal.model.acting import Actor, acting, present_actor, present_request
from pulse_temporal.model.canonical import scrub_text
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.runs import Page
from pulse_temporal.model.sessions import LoginLink, NewLoginLink, NewWebSession, WebSession
from pulse_temporal.postgres.sessions import Session, repeats
from pulse_temporal.services.pages import check_limit, read_cursor, write_cursor
from pulse_temporal.services.people.grants import known_scopes, named, named_tenants
from pulse_temporal.store import audit, login_links, web_sessions
from pulse_temporal.store.database import Database
from pulse_temporal.store.login_links import LinkContent
from pulse_temporal.store.places import KeysetPosition
from pulse_temporal.store.web_sessions import SessionContent

TOKEN = re.compile("[A-Za-z0-9_-]{43}")
LONGEST_LINK = timedelta(days=7)
TOLD_BYTES = 200
"""Bound on what a browser says about itself."""


class Visits:
    """Keeps the sessions of people, and the links that begin them."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def create_link(
        self,
        name: str,
        *,
        scopes: Collection[str],
        tenants: Collection[str] | None,
        expires_in: timedelta,
    ) -> NewLoginLink:
        """Make a link; see ``Engine.create_login_link``."""
        if not timedelta() < expires_in <= LONGEST_LINK:
            raise InvalidInputError(f"expires_in must be up to {LONGEST_LINK.days} days.")
        content = LinkContent(named("name", name), named_tenants(tenants), known_scopes(scopes))
        token = token_urlsafe(32)
        async with self.database.transaction() as session:
            link = await login_links.create(
                session,
                new_id("lnk"),
                content,
                token_sha256=_hash(token),
                created_by=present_actor().id,
                lifetime=expires_in,
            )
            await audit.record(
                session,
                "link.create",
                link.id,
                tenant_id=_only(link.tenants),
                detail={"name": link.name, "scopes": [*link.scopes]},
            )
        return NewLoginLink(link=link, token=token)

    async def spend_link(
        self, token: str, *, address: str | None, browser: str | None
    ) -> NewWebSession:
        """Use a link up; see ``Engine.spend_login_link``."""
        if TOKEN.fullmatch(token) is None:
            raise _unusable()
        # Not repeated: who has not got the answer must not find the link used up and a session
        # begun that nobody knows; they ask for another link.
        async with self.database.transaction() as session:
            link = await login_links.spend(session, _hash(token))
            if link is None:
                raise _unusable()
            content = _content_of(link, address=address, browser=browser)
            return await _begin(session, content, detail={"link": link.id})

    async def begin(
        self,
        user_id: str,
        *,
        name: str,
        scopes: Collection[str],
        tenants: Collection[str] | None,
        address: str | None,
        browser: str | None,
    ) -> NewWebSession:
        """Begin a session; see ``Engine.begin_session``."""
        content = SessionContent(
            user_id=named("user_id", user_id),
            name=named("name", name),
            tenants=named_tenants(tenants),
            scopes=known_scopes(scopes),
            via="oidc",
            address=_told(address),
            browser=_told(browser),
        )
        async with self.database.transaction() as session:
            return await _begin(session, content, detail={})

    async def authenticate(self, token: str) -> WebSession:
        """Return the session of a token; see ``Engine.authenticate_session``."""
        found = None
        if TOKEN.fullmatch(token):
            async with self.database.session() as session:
                found = await web_sessions.find(session, _hash(token))
                if found is not None:
                    await web_sessions.note_use(session, found.id)
        if found is None:
            raise CredentialError("The session is over; sign in again.")
        return found

    async def list_page(
        self, *, user_id: str | None, limit: int, cursor: str | None
    ) -> Page[WebSession]:
        """Return one page of sessions; see ``Engine.list_sessions``."""
        check_limit(limit)
        async with self.database.session() as session:
            found = await web_sessions.list_page(
                session, user_id=user_id, after=read_cursor(cursor), limit=limit
            )
        shown = found[:limit]
        more = len(found) > limit
        end = write_cursor(KeysetPosition(shown[-1].created_at, shown[-1].id)) if more else None
        return Page[WebSession](items=tuple(shown), next_cursor=end)

    @repeats
    async def end(self, session_id: str, *, user_id: str | None, reason: str | None) -> WebSession:
        """End a session; see ``Engine.end_session``."""
        async with self.database.transaction() as session:
            ended = await web_sessions.end(session, session_id, user_id=user_id)
            if ended is None:
                raise NotFoundError(f"There is no session {session_id} that goes on.")
            await audit.record(
                session, "session.end", ended.id, tenant_id=_only(ended.tenants), reason=reason
            )
        return ended

    async def is_anybody_known(self) -> bool:
        """Return whether somebody can come in; see ``Engine.is_anybody_known``."""
        async with self.database.session() as session:
            return await web_sessions.is_anybody_known(session)


async def _begin(
    session: Session, content: SessionContent, *, detail: dict[str, str]
) -> NewWebSession:
    token = token_urlsafe(32)
    made = await web_sessions.begin(session, new_id("ses"), content, token_sha256=_hash(token))
    # Whoever signs in does it themselves, whatever stands above.
    person = Actor(id=made.user_id, name=made.name)
    with acting(person, request_id=present_request()):
        await audit.record(
            session,
            "session.begin",
            made.id,
            tenant_id=_only(made.tenants),
            detail={"via": made.via, **detail},
        )
    return NewWebSession(session=made, token=token)


def _content_of(link: LoginLink, *, address: str | None, browser: str | None) -> SessionContent:
    return SessionContent(
        user_id=f"link:{link.name}"[:200],
        name=link.name,
        tenants=link.tenants,
        scopes=link.scopes,
        via="link",
        address=_told(address),
        browser=_told(browser),
    )


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _only(tenants: tuple[str, ...] | None) -> str | None:
    """Return the tenant that something is of alone."""
    return tenants[0] if tenants is not None and len(tenants) == 1 else None


def _told(text: str | None) -> str | None:
    return scrub_text(text, max_bytes=TOLD_BYTES) if text else None


def _unusable() -> CredentialError:
    return CredentialError("The link was used before, is too old, or never was; ask for another.")
