"""Find out who asks, and whether a tenant exists for them."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from pulse_temporal.errors import NotFoundError
from pulse_temporal.web.guard.hosts import is_loopback, name_of
from pulse_temporal.web.guard.principal import DEV, Authenticate, Principal, Scope

PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class UnknownPrincipalError(Exception):
    """Nobody that is known asks."""


class ScopeMissingError(Exception):
    """Who asks may not do this."""


class InsteadError(Exception):
    """The application wants to answer this request itself.

    Attributes:
        response: What it answers.
    """

    def __init__(self, response: Response) -> None:
        super().__init__("The application answers itself.")
        self.response = response


class Identity:
    """Recognises who asks.

    Args:
        authenticate: The application's own way; None: only whoever works at this machine.
    """

    def __init__(self, authenticate: Authenticate | None) -> None:
        self._authenticate = authenticate

    async def principal(self, request: Request) -> Principal:
        """Return who asks.

        Raises:
            UnknownPrincipalError: Nobody that is known.
            InsteadError: The application answers itself.
        """
        if self._authenticate is not None:
            found = await self._authenticate(request)
        else:
            found = DEV if _is_at_this_machine(request) else None
        if isinstance(found, Response):
            raise InsteadError(found)
        if found is None:
            raise UnknownPrincipalError("Sign in to see this page.")
        return found


def check_tenant(principal: Principal, tenant_id: str) -> None:
    """Check that a tenant exists for a principal.

    Raises:
        NotFoundError: It does not, or is no tenant at all.
    """
    if not principal.may_see(tenant_id):
        raise NotFoundError("There is no such page.")


def check_scope(principal: Principal, scope: Scope) -> None:
    """Check that a principal may do something.

    Raises:
        ScopeMissingError: It may not.
    """
    if not principal.may(scope):
        raise ScopeMissingError(f"{principal.name} may not do this; it takes the right {scope!r}.")


def _is_at_this_machine(request: Request) -> bool:
    """Whether a request comes from this machine, and not through a proxy on it."""
    headers: Headers = request.headers
    if any(name in headers for name in PROXY_HEADERS):
        return False
    client = request.client
    return (
        client is not None
        and is_loopback(client.host)
        and is_loopback(name_of(headers.get("host", "")))
    )
