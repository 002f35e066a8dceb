"""API keys: what a program shows to be recognised, and what it may do."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal, get_args

from pydantic import AwareDatetime

from pulse_temporal.model.values import Value

Scope = Literal[
    "runs:read",
    "signals:read",
    "definitions:read",
    "payloads:read",
    "runs:act",
    "signals:emit",
    "definitions:write",
    "operate:read",
    "settings:write",
    "audit:read",
]
"""What a principal may do; docs/operate/identity.md says what each allows."""

SCOPES: frozenset[Scope] = frozenset(get_args(Scope))

READ: tuple[Scope, ...] = ("runs:read", "signals:read", "definitions:read", "payloads:read")

ROLES: dict[str, frozenset[Scope]] = {
    "viewer": frozenset(READ),
    "operator": frozenset({*READ, "runs:act", "signals:emit", "operate:read"}),
    "author": frozenset({*READ, "signals:emit", "definitions:write"}),
    "admin": SCOPES,
}
"""Sets of scopes that have a name."""

TOKEN = re.compile(r"pulse_sk_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")


class ApiKey(Value):
    """A key of a program; its secret is not known to Pulse.

    Attributes:
        id: ``key_`` + UUIDv7; a part of the token.
        tenant_id: Whose data it may see; None: that of all tenants.
        name: For people.
        scopes: What it may do, sorted. A newer release may know more.
        created_at: When it was made.
        created_by: Id of who made it, see ``acting``.
        expires_at: From when on it is refused; None: never.
        last_used_at: When it was last shown, to the minute.
        revoked_at: When it was taken away.
        replaced_by: Id of the key that it was rotated to.
    """

    id: str
    tenant_id: str | None
    name: str
    scopes: tuple[str, ...]
    created_at: AwareDatetime
    created_by: str
    expires_at: AwareDatetime | None = None
    last_used_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None
    replaced_by: str | None = None

    def has_expired(self, now: datetime) -> bool:
        """Return whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now


class NewApiKey(Value):
    """A key that was just made.

    Attributes:
        key: As it is stored.
        token: ``pulse_sk_<id>_<secret>``, for the header ``Authorization: Bearer``. It is told
            this once; Pulse keeps a hash of it.
    """

    key: ApiKey
    token: str
