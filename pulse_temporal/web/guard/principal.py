"""Who asks: a person, a key, or the host application on somebody's behalf."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from pulse_temporal.model.acting import Actor, acting
from pulse_temporal.model.api_keys import SCOPES, Scope
from pulse_temporal.model.values import Name, Value

PrincipalKind = Literal["host", "key", "session", "embed", "dev"]


class Principal(Value):
    """Who asks, about which tenants, and what for.

    Attributes:
        id: Stable and unique, for example ``user:ada@acme.test``.
        name: For people.
        kind: How it was recognised.
        tenants: Whose data it may see; ``*``: that of all tenants.
        scopes: What it may do there.
    """

    id: Name
    name: Name
    kind: PrincipalKind = "host"
    tenants: frozenset[str] | Literal["*"]
    scopes: frozenset[Scope]

    @property
    def actor(self) -> Actor:
        """Who is on record for what it changes."""
        return Actor(id=self.id, name=self.name, kind=self.kind)

    def acts(self, request_id: str | None = None) -> AbstractContextManager[Actor]:
        """Return a block in which what is changed is on record as done by it."""
        return acting(self.actor, request_id=request_id)

    def may(self, scope: Scope) -> bool:
        """Return whether it may do this."""
        return scope in self.scopes

    def may_see(self, tenant_id: str) -> bool:
        """Return whether this tenant exists for it."""
        return self.tenants == "*" or tenant_id in self.tenants


Authenticate = Callable[[Request], Awaitable[Principal | Response | None]]
"""Tells who asks; None: nobody that is known; a response, such as a redirect, is sent as it is."""

DEV = Principal(id="dev", name="dev", kind="dev", tenants="*", scopes=SCOPES)
"""Whoever works at this machine, where nobody was told how to recognise people."""
