"""Keys of programs, sessions of people, and the audit."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pulse_temporal.clock import utc_now
from pulse_temporal.errors import CredentialError, InvalidInputError, KeyRotatedError
from pulse_temporal.model.addresses import from_segment
from pulse_temporal.model.api_keys import ROLES, NewApiKey
from pulse_temporal.web.guard.identity import ScopeMissingError
from pulse_temporal.web.whole import Whole, WholeAsk, reason_of

PAGE = 50
SEE_OTHER = 303
CREATED = 201
LIVES = {
    "7": timedelta(days=7),
    "30": timedelta(days=30),
    "90": timedelta(days=90),
    "365": timedelta(days=365),
    "": None,
}
"""Days that a new key works, and for ever."""

GRACES = {"0": timedelta(), "1": timedelta(hours=1), "24": timedelta(hours=24)}
"""Hours that an old key works on."""

router = APIRouter(prefix="/settings")


@router.get("/")
async def enter(ask: WholeAsk) -> Response:
    """Go to what somebody may set."""
    may_set = ask.principal.may("settings:write")
    return RedirectResponse(ask.url("/settings/keys" if may_set else "/settings/sessions"))


@router.get("/keys")
async def show_keys(ask: WholeAsk) -> HTMLResponse:
    """Show one page of keys."""
    ask.check("settings:write")
    return await _keys(ask)


@router.post("/keys")
async def create_key(ask: WholeAsk) -> HTMLResponse:
    """Make a key, and show its token this once."""
    ask.check("settings:write")
    form = await ask.form()
    role, life = form.get("role", ""), form.get("days", "90")
    if role not in ROLES or life not in LIVES:
        raise InvalidInputError(f"A role is one of {', '.join(ROLES)}; days, of those offered.")
    if not ROLES[role] <= ask.principal.scopes:
        raise ScopeMissingError(f"{ask.principal.name} may not give rights that they lack.")
    reason = reason_of(form)
    length = LIVES[life]
    engine = ask.engine(ask.tenant())
    with ask.principal.acts():
        made = await engine.create_api_key(
            form.get("name", "").strip(),
            scopes=ROLES[role],
            expires_at=None if length is None else utc_now() + length,
            reason=reason,
        )
    return await _keys(ask, made=made)


@router.post("/keys/{key}/rotate")
async def rotate_key(ask: WholeAsk, key: str) -> HTMLResponse:
    """Make the key that comes after another, and show its token this once."""
    ask.check("settings:write")
    form = await ask.form()
    hours = form.get("hours", "24")
    if hours not in GRACES:
        raise InvalidInputError(f"hours is one of {', '.join(GRACES)}.")
    reason = reason_of(form)
    engine = ask.engine(ask.tenant())
    try:
        with ask.principal.acts():
            made = await engine.rotate_api_key(
                from_segment(key), grace=GRACES[hours], reason=reason
            )
    except (CredentialError, KeyRotatedError) as error:  # of the key in the list, not of who asks
        raise InvalidInputError(str(error)) from error
    return await _keys(ask, made=made)


@router.post("/keys/{key}/revoke")
async def revoke_key(ask: WholeAsk, key: str) -> RedirectResponse:
    """Take a key away, and go back to the list."""
    ask.check("settings:write")
    reason = reason_of(await ask.form())
    tenant = ask.tenant()
    with ask.principal.acts():
        await ask.engine(tenant).revoke_api_key(from_segment(key), reason=reason)
    return RedirectResponse(ask.url("/settings/keys", tenant=_named(ask)), SEE_OTHER)


@router.get("/sessions")
async def show_sessions(ask: WholeAsk) -> HTMLResponse:
    """Show somebody's sessions; whoever sets things for all tenants sees everybody's."""
    page = await ask.site.engine.list_sessions(
        user_id=_whose(ask), limit=PAGE, cursor=ask.request.query_params.get("cursor") or None
    )
    return ask.page(
        "sessions.html",
        here="sessions",
        page=page,
        is_all=_whose(ask) is None,
        older_url=ask.url("/settings/sessions", cursor=page.next_cursor),
    )


@router.post("/sessions/{session}/end")
async def end_session(ask: WholeAsk, session: str) -> RedirectResponse:
    """Sign somebody out, and go back to the list."""
    reason = reason_of(await ask.form())
    with ask.principal.acts():
        await ask.site.engine.end_session(
            from_segment(session), user_id=_whose(ask), reason=reason
        )
    return RedirectResponse(ask.url("/settings/sessions"), SEE_OTHER)


@router.get("/audit")
async def show_audit(ask: WholeAsk) -> HTMLResponse:
    """Show one page of who has changed what."""
    ask.check("audit:read")
    given = ask.request.query_params
    filters = {name: given.get(name, "").strip() for name in ("tenant", "subject", "action")}
    page = await ask.engine(ask.tenant()).list_audit(
        subject_id=filters["subject"] or None,
        action=filters["action"] or None,
        limit=PAGE,
        cursor=given.get("cursor") or None,
    )
    return ask.page(
        "audit.html",
        here="audit",
        page=page,
        filters=filters,
        cursor=given.get("cursor", ""),
        newest_url=ask.url("/settings/audit", **filters),
        older_url=ask.url("/settings/audit", **filters, cursor=page.next_cursor),
    )


async def _keys(ask: Whole, *, made: NewApiKey | None = None) -> HTMLResponse:
    cursor = ask.request.query_params.get("cursor") or None
    tenant = ask.tenant()
    page = await ask.engine(tenant).list_api_keys(limit=PAGE, cursor=cursor)
    return ask.page(
        "keys.html",
        here="keys",
        status=CREATED if made else 200,
        page=page,
        made=made,
        now=utc_now(),
        key_tenant=tenant,
        named=_named(ask),
        roles=[name for name, scopes in ROLES.items() if scopes <= ask.principal.scopes],
        older_url=ask.url("/settings/keys", tenant=_named(ask), cursor=page.next_cursor),
    )


def _named(ask: Whole) -> str | None:
    return ask.request.query_params.get("tenant") or None


def _whose(ask: Whole) -> str | None:
    """Return whose sessions somebody sees and ends; None: everybody's."""
    is_over_all = ask.principal.tenants == "*" and ask.principal.may("settings:write")
    return None if is_over_all else ask.principal.id
