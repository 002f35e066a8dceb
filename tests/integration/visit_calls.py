"""The calls about people who sign in that change something, for the tests of roles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from pulse_temporal import Engine, NewLoginLink, NewWebSession


async def new_link(engine: Engine) -> NewLoginLink:
    """Make a login link."""
    return await engine.create_login_link("Ada", scopes=["runs:read"])


async def spend_link(engine: Engine, _: object) -> object:
    """Sign in with a new link."""
    return await engine.spend_login_link((await new_link(engine)).token)


async def begin_session(engine: Engine) -> NewWebSession:
    """Begin a session."""
    return await engine.begin_session("oidc:1", name="Ada", scopes=["runs:read"], tenants=None)


async def authenticate_session(engine: Engine, _: object) -> object:
    """Use a new session."""
    return await engine.authenticate_session((await begin_session(engine)).token)


async def end_session(engine: Engine, _: object) -> object:
    """End a new session."""
    return await engine.end_session((await begin_session(engine)).session.id)


VISIT_WRITES: Mapping[str, Callable[[Engine, object], Awaitable[object]]] = {
    "authenticate_session": authenticate_session,
    "begin_session": lambda engine, _: begin_session(engine),
    "create_login_link": lambda engine, _: new_link(engine),
    "end_session": end_session,
    "spend_login_link": spend_link,
}
