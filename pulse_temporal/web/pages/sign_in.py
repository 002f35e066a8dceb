"""Sign in with a link that works once, and sign out."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pulse_temporal.errors import CredentialError, NotFoundError
from pulse_temporal.model.acting import Actor, acting
from pulse_temporal.web.asked import root_of, site_of
from pulse_temporal.web.guard.cookies import (
    cookie_name,
    forget_session,
    keep_session,
    session_token,
)

SEE_OTHER = 303
REFUSED = 403

router = APIRouter()


@router.get("/sign-in")
async def show_sign_in(request: Request) -> HTMLResponse:
    """Say how to sign in."""
    _check(request)
    return sign_in_page(request)


@router.get("/sign-in/link/{token}")
async def show_link(request: Request, token: str) -> HTMLResponse:
    """Ask for a press of the button: whatever only looks at a link does not use it up."""
    _check(request)
    return sign_in_page(request, token=token)


@router.post("/sign-in/link/{token}")
async def spend_link(request: Request, token: str) -> Response:
    """Sign in."""
    _check(request)
    if cookie_name(request) is None:
        told = "Signing in takes https: by http, others on the way could read your session."
        return sign_in_page(request, told=told, status=REFUSED)
    try:
        new = await site_of(request).engine.spend_login_link(
            token, address=address_of(request), browser=request.headers.get("user-agent")
        )
    except CredentialError as error:
        return sign_in_page(request, told=str(error), status=REFUSED)
    response = RedirectResponse(f"{root_of(request)}/", SEE_OTHER)
    keep_session(request, response, new.token)
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session that asks for it."""
    _check(request)
    engine = site_of(request).engine
    response = RedirectResponse(f"{root_of(request)}/sign-in", SEE_OTHER)
    token = session_token(request)
    if token:
        try:
            session = await engine.authenticate_session(token)
            with acting(Actor(id=session.user_id, name=session.name, kind="session")):
                await engine.end_session(session.id, reason="Signed out")
        except (CredentialError, NotFoundError):
            pass  # it was over already
    forget_session(request, response)
    return response


def sign_in_page(
    request: Request, *, token: str = "", told: str = "", status: int = 200
) -> HTMLResponse:
    """Return the page that says how to sign in.

    Args:
        request: What was asked for.
        token: Of the link that was followed; empty without one.
        told: What went wrong.
        status: Of the answer.
    """
    root = root_of(request)
    html = site_of(request).renderer.html(
        "sign_in.html",
        root=root,
        base=root,
        tenant="",
        principal=None,
        here="",
        token=token,
        told=told,
    )
    return HTMLResponse(html, status)


def address_of(request: Request) -> str | None:
    """Return the address that a request comes from."""
    return request.client.host if request.client else None


def _check(request: Request) -> None:
    """Check that people sign in here.

    Raises:
        NotFoundError: The application signs them in itself.
    """
    if not site_of(request).identity.has_sign_in:
        raise NotFoundError("There is no such page.")
