"""Find out who asks, and whether a tenant exists for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from pulse_temporal.errors import CredentialError, NotFoundError
from pulse_temporal.model.api_keys import ApiKey
from pulse_temporal.model.sessions import WebSession
from pulse_temporal.web.guard.cookies import session_token
from pulse_temporal.web.guard.hosts import is_loopback, name_of
from pulse_temporal.web.guard.principal import DEV, SCOPES, Authenticate, Principal, Scope

PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
KEY_PREFIX = "pulse_sk_"

FindKey = Callable[[str], Awaitable[ApiKey]]
"""Gives the API key that a token is of, as ``Engine.authenticate_api_key`` does."""

FindSession = Callable[[str], Awaitable[WebSession]]
"""Gives the session that a token is of, as ``Engine.authenticate_session`` does."""


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
    """Recognises who asks: programs by their API key, people in the application's own way.

    Args:
        authenticate: The application's own way; None: people sign in here.
        find_key: Recognises API keys.
        find_session: Recognises sessions of people.
        needs_sign_in: Whether people at this machine must sign in too.

    Attributes:
        has_sign_in: Whether people sign in here.
    """

    def __init__(
        self,
        authenticate: Authenticate | None,
        find_key: FindKey,
        find_session: FindSession,
        *,
        needs_sign_in: bool,
    ) -> None:
        self._authenticate = authenticate
        self._find_key = find_key
        self._find_session = find_session
        self._needs_sign_in = needs_sign_in
        self.has_sign_in: bool = authenticate is None

    async def principal(self, request: Request) -> Principal:
        """Return who asks.

        Raises:
            CredentialError: The token is none of ours, or not any more; its subclasses say which.
            UnknownPrincipalError: Nobody that is known.
            InsteadError: The application answers itself.
        """
        token = bearer_token(request)
        if token is not None and token.startswith(KEY_PREFIX):
            return _principal_of(await self._find_key(token))
        if self._authenticate is None and token is not None:
            raise CredentialError("The token is no API key of Pulse; those begin with pulse_sk_.")
        if self._authenticate is not None:
            found = await self._authenticate(request)
        else:
            found = await self._signed_in(request)
        if isinstance(found, Response):
            raise InsteadError(found)
        if found is None:
            raise UnknownPrincipalError("Sign in to see this page.")
        return found

    async def _signed_in(self, request: Request) -> Principal | None:
        """Return who has signed in here, or works at this machine where nobody need sign in."""
        token = session_token(request)
        if token:
            try:
                return _person_of(await self._find_session(token))
            except CredentialError:
                pass  # as without the cookie
        return DEV if not self._needs_sign_in and _is_at_this_machine(request) else None


def bearer_token(request: Request) -> str | None:
    """Return the token that a request shows in ``Authorization: Bearer``; None without one."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _person_of(session: WebSession) -> Principal:
    """Return who has signed in; scopes that only a newer release knows allow nothing here."""
    return Principal(
        id=session.user_id,
        name=session.name,
        kind="session",
        tenants="*" if session.tenants is None else frozenset(session.tenants),
        scopes=frozenset(scope for scope in SCOPES if scope in session.scopes),
    )


def _principal_of(key: ApiKey) -> Principal:
    """Return who shows a key; scopes that only a newer release knows allow nothing here."""
    return Principal(
        id=key.id,
        name=key.name,
        kind="key",
        tenants="*" if key.tenant_id is None else frozenset({key.tenant_id}),
        scopes=frozenset(scope for scope in SCOPES if scope in key.scopes),
    )


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
