"""API keys, the audit, and who asks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from starlette.responses import Response

from pulse_temporal.errors import NotFoundError
from pulse_temporal.model.api_keys import ApiKey, NewApiKey
from pulse_temporal.web.api.asking import Ask, Asking, PageQuery, Reason, tenant_required
from pulse_temporal.web.api.operations import Routes
from pulse_temporal.web.api.problems import FORBIDDEN, RefusedError
from pulse_temporal.web.api.shapes import (
    AuditPage,
    AuditQuery,
    KeyPage,
    NewKey,
    Rotation,
    WhoAmI,
)

CREATED = 201
MOST_KEYS = 500

routes = Routes("keys")
audit_routes = Routes("audit")
me_routes = Routes("me")


@routes.add("GET", "/keys", scope="settings:write", gives=KeyPage, query=PageQuery)
async def list_(call: Ask) -> Response:
    """Return one page of keys, newest first, those that are over among them."""
    wanted = call.query(PageQuery)
    return call.page(await call.engine.list_api_keys(limit=wanted.limit, cursor=wanted.cursor))


@routes.add(
    "POST",
    "/keys",
    scope="settings:write",
    gives=NewApiKey,
    body=NewKey,
    status=CREATED,
    example={"name": "ci", "scopes": ["signals:emit"], "expiresAt": "2099-01-01T00:00:00Z"},
)
async def create(call: Ask) -> Response:
    """Make a key; its token is in this answer and never again."""
    wanted = await call.body(NewKey)
    if wanted.all_tenants:
        call.check_all_tenants()
    if wanted.all_tenants == (call.tenant_id is not None):
        raise _which_tenant() if wanted.all_tenants else tenant_required()
    _check_no_more(call, wanted.scopes)
    made = await call.engine.create_api_key(
        wanted.name, scopes=wanted.scopes, expires_at=wanted.expires_at
    )
    return call.answer(made, status=CREATED)


@routes.add(
    "POST",
    "/keys/{key_id}/rotate",
    scope="settings:write",
    gives=NewApiKey,
    body=Rotation,
    status=CREATED,
    example={"graceSeconds": 3600},
)
async def rotate(call: Ask, key_id: str) -> Response:
    """Make a key like another one, which works on for a while."""
    wanted = await call.body(Rotation)
    _check_no_more(call, (await _key(call, key_id)).scopes)
    made = await call.engine.rotate_api_key(
        key_id, grace=timedelta(seconds=wanted.grace_seconds), reason=wanted.reason
    )
    return call.answer(made, status=CREATED)


@routes.add(
    "POST",
    "/keys/{key_id}/revoke",
    scope="settings:write",
    gives=ApiKey,
    body=Reason,
    example={"reason": "leaked"},
)
async def revoke(call: Ask, key_id: str) -> Response:
    """Take a key away, for good; other processes may accept it for 10 more seconds."""
    reason = (await call.body(Reason)).reason
    return call.answer(await call.engine.revoke_api_key(key_id, reason=reason))


@audit_routes.add("GET", "/audit", scope="audit:read", gives=AuditPage, query=AuditQuery)
async def list_audit(call: Ask) -> Response:
    """Return one page of who has changed what, newest first."""
    wanted = call.query(AuditQuery)
    page = await call.engine.list_audit(
        subject_id=wanted.subject_id,
        action=wanted.action,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    return call.page(page)


@me_routes.add("GET", "/whoami", scope=None, gives=WhoAmI)
async def whoami(call: Ask) -> Response:
    """Return who asks, and what it may do."""
    principal = call.principal
    tenants = None if principal.tenants == "*" else tuple(sorted(principal.tenants))
    answer = WhoAmI(
        id=principal.id,
        name=principal.name,
        kind=principal.kind,
        tenants=tenants,
        scopes=tuple(sorted(principal.scopes)),
    )
    return call.answer(answer)


async def _key(call: Asking, key_id: str) -> ApiKey:
    """Return a key that is to be rotated.

    Raises:
        NotFoundError: There is none.
    """
    cursor: str | None = None
    while True:
        page = await call.engine.list_api_keys(limit=MOST_KEYS, cursor=cursor)
        for key in page:
            if key.id == key_id:
                return key
        cursor = page.next_cursor
        if cursor is None:
            raise NotFoundError("There is no such key.")


def _check_no_more(call: Asking, scopes: Collection[str]) -> None:
    """Check that nobody makes a key that may do more than they may.

    Raises:
        RefusedError: Somebody would.
    """
    more = sorted(set(scopes) - call.principal.scopes)
    if more:
        detail = f"A key may not be given rights that its maker lacks: {', '.join(more)}."
        raise RefusedError(FORBIDDEN, "scope_missing", detail)


def _which_tenant() -> RefusedError:
    detail = "The header Pulse-Tenant names one tenant, the body says all of them."
    return RefusedError(400, "tenant_required", detail)
