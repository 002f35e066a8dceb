"""Sessions of people as rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pulse_temporal.model.sessions import SignedInVia, WebSession
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.places import KeysetPosition
from pulse_temporal.store.rows import required

LIFETIME = timedelta(hours=12)
"""How long a session lasts at most."""

IDLE = timedelta(hours=2)
"""After how long without a request it is over."""


@dataclass(frozen=True, slots=True)
class SessionContent:
    """Who has signed in, and how.

    Attributes:
        user_id: The same in every session of a person.
        name: For people.
        tenants: Whose data they may see; None: that of all tenants.
        scopes: What they may do.
        via: How they came.
        address: From where.
        browser: What their browser calls itself.
    """

    user_id: str
    name: str
    tenants: tuple[str, ...] | None
    scopes: tuple[str, ...]
    via: SignedInVia
    address: str | None
    browser: str | None


async def begin(
    session: Session, session_id: str, content: SessionContent, *, token_sha256: bytes
) -> WebSession:
    """Store a new session."""
    row = await session.row(
        "web_sessions.begin",
        id=session_id,
        token_sha256=token_sha256,
        user_id=content.user_id,
        name=content.name,
        tenants=None if content.tenants is None else list(content.tenants),
        scopes=list(content.scopes),
        via=content.via,
        address=content.address,
        browser=content.browser,
        lifetime=LIFETIME,
    )
    return _session(required(row, "a new session"))


async def find(session: Session, token_sha256: bytes) -> WebSession | None:
    """Read the session of a token; None when it is over, or there is none."""
    row = await session.row("web_sessions.find", token_sha256=token_sha256, idle=IDLE)
    return _session(row) if row else None


async def note_use(session: Session, session_id: str) -> None:
    """Say that a session was used, at most once a minute."""
    await session.run("web_sessions.note_use", id=session_id)


async def list_page(
    session: Session, *, user_id: str | None, after: KeysetPosition, limit: int
) -> list[WebSession]:
    """Read one page of sessions that go on, newest first, and one more where there is one."""
    place: dict[str, object] = {
        "before_at": after.at,
        "before_id": after.id,
        "idle": IDLE,
        "row_limit": limit + 1,
    }
    if user_id is None:
        found = await session.rows("web_sessions.list_all", **place)
    else:
        found = await session.rows("web_sessions.list_user", **place, user_id=user_id)
    return [_session(row) for row in found]


async def end(session: Session, session_id: str, *, user_id: str | None) -> WebSession | None:
    """End a session; None when there is none that goes on."""
    row = await session.row("web_sessions.end_session", id=session_id, user_id=user_id)
    return _session(row) if row else None


async def is_anybody_known(session: Session) -> bool:
    """Return whether somebody can come in: by a key, a session or a link."""
    row = required(await session.row("web_sessions.is_anybody_known", idle=IDLE), "an answer")
    found: bool = row["found"]
    return found


def _session(row: Record) -> WebSession:
    return WebSession.model_validate({name: row[name] for name in WebSession.model_fields})
