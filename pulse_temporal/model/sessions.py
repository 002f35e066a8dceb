"""Sessions of people who have signed in to the pages, and links that sign somebody in."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from pulse_temporal.model.values import Value

SignedInVia = Literal["link", "oidc"]


class WebSession(Value):
    """Somebody who has signed in; the token of the cookie is not known to Pulse.

    Attributes:
        id: ``ses_`` + UUIDv7.
        user_id: Who it is, the same in every session, for example ``oidc:4711``.
        name: For people.
        tenants: Whose data they may see, sorted; None: that of all tenants.
        scopes: What they may do, sorted. A newer release may know more.
        via: How they came: ``link``, ``oidc``, or a way of a newer release.
        address: From where they signed in.
        browser: What they signed in with, as it names itself.
        created_at: When they signed in.
        seen_at: When they last asked for something, to the minute.
        expires_at: When it ends at the latest.
        ended_at: When they have signed out, or were signed out.
    """

    id: str
    user_id: str
    name: str
    tenants: tuple[str, ...] | None
    scopes: tuple[str, ...]
    via: SignedInVia | str
    address: str | None = None
    browser: str | None = None
    created_at: AwareDatetime
    seen_at: AwareDatetime
    expires_at: AwareDatetime
    ended_at: AwareDatetime | None = None


class NewWebSession(Value):
    """A session that has just begun.

    Attributes:
        session: As it is stored.
        token: For the cookie. It is told this once; Pulse keeps a hash of it.
    """

    session: WebSession
    token: str


class LoginLink(Value):
    """A link that signs somebody in, once.

    Attributes:
        id: ``lnk_`` + UUIDv7.
        name: Of whom it signs in.
        tenants: Whose data they may see, sorted; None: that of all tenants.
        scopes: What they may do, sorted.
        created_by: Id of who made it, see ``acting``.
        created_at: When it was made.
        expires_at: From when on it cannot be used.
        used_at: When it was used.
    """

    id: str
    name: str
    tenants: tuple[str, ...] | None
    scopes: tuple[str, ...]
    created_by: str
    created_at: AwareDatetime
    expires_at: AwareDatetime
    used_at: AwareDatetime | None = None


class NewLoginLink(Value):
    """A link that was just made.

    Attributes:
        link: As it is stored.
        token: What the address ends with. It is told this once; Pulse keeps a hash of it.
    """

    link: LoginLink
    token: str
