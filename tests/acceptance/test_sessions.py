"""People sign in to the pages with a link that works once, and stay signed in for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal import Actor, CredentialError, Engine, InvalidInputError, NotFoundError, acting
from pulse_temporal.errors import FailpointError
from pulse_temporal.failpoints import arm, parse
from tests.harness import TENANT, PulseTest

OPERATOR = Actor(id="cli:root", name="root")


@pytest.fixture(autouse=True)
def disarmed() -> Generator[None]:
    yield
    arm({})


async def test_a_link_signs_in_once(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    with acting(OPERATOR):
        made = await engine.create_login_link("Ada", scopes=["runs:read"], tenants=[TENANT])

    new = await engine.spend_login_link(made.token, address="10.0.0.9", browser="Firefox")

    with pytest.raises(CredentialError):
        await engine.spend_login_link(made.token)
    session = await engine.authenticate_session(new.token)
    assert (session.id, session.name, session.via) == (new.session.id, "Ada", "link")
    assert (session.tenants, session.scopes) == ((TENANT,), ("runs:read",))
    assert (session.address, session.browser) == ("10.0.0.9", "Firefox")
    assert session.expires_at - session.created_at == timedelta(hours=12)
    trail = [
        (each.action, each.subject_id, each.actor.id, each.tenant_id)
        for each in (await engine.list_audit()).items
    ]
    assert trail == [
        ("session.begin", session.id, "link:Ada", TENANT),
        ("link.create", made.link.id, "cli:root", TENANT),
    ]


async def test_a_session_that_was_ended_is_over_at_once(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    new = await engine.begin_session("oidc:1", name="Ada", scopes=["runs:read"], tenants=None)

    for nobody in ({"user_id": "oidc:2"}, {}):
        wrong = new.session.id if nobody else "ses_none"
        with pytest.raises(NotFoundError):
            await engine.end_session(wrong, **nobody)
    ended = await engine.end_session(new.session.id, user_id="oidc:1", reason="left")

    assert ended.ended_at is not None
    with pytest.raises(CredentialError):
        await engine.authenticate_session(new.token)
    with pytest.raises(NotFoundError):
        await engine.end_session(new.session.id)
    last = (await engine.list_audit()).items[0]
    assert (last.action, last.reason) == ("session.end", "left")
    assert not (await engine.list_sessions()).items


@pytest.mark.parametrize(
    "aged",
    [
        "seen_at = now() - interval '2 hours 1 second'",
        "expires_at = now() - interval '1 second'",
    ],
)
async def test_a_session_ends_by_itself(
    idle_pulse: PulseTest, connection: asyncpg.Connection, aged: str
) -> None:
    engine = idle_pulse.engine
    new = await engine.begin_session("oidc:1", name="Ada", scopes=["runs:read"], tenants=None)
    await connection.execute(f"UPDATE pulse_sessions SET {aged}")  # noqa: S608 - of constants

    with pytest.raises(CredentialError):
        await engine.authenticate_session(new.token)
    assert not (await engine.list_sessions()).items
    assert not await engine.is_anybody_known()


async def test_a_request_keeps_a_session_awake(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    engine = idle_pulse.engine
    new = await engine.begin_session("oidc:1", name="Ada", scopes=["runs:read"], tenants=None)
    await connection.execute("UPDATE pulse_sessions SET seen_at = now() - interval '1 hour'")

    await engine.authenticate_session(new.token)

    assert await connection.fetchval("SELECT now() - seen_at < '1 minute' FROM pulse_sessions")


async def test_a_link_that_is_too_old_signs_nobody_in(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    engine = idle_pulse.engine
    made = await engine.create_login_link("Ada", scopes=["runs:read"])
    assert await engine.is_anybody_known()
    await connection.execute("UPDATE pulse_login_links SET expires_at = now()")

    with pytest.raises(CredentialError):
        await engine.spend_login_link(made.token)
    assert not await engine.is_anybody_known()


async def test_a_wrong_token_is_of_nobody(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    made = await engine.create_login_link("Ada", scopes=["runs:read"])
    for token in ("", "x", "\x00", f"{made.token}x", made.token[:-1], "é" * 43, "a" * 43):
        for use in (engine.spend_login_link, engine.authenticate_session):
            with pytest.raises(CredentialError):
                await use(token)
    with pytest.raises(CredentialError):
        await engine.authenticate_session(made.token)
    await engine.spend_login_link(made.token)


async def test_no_token_is_in_postgres(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    link = await idle_pulse.engine.create_login_link("Ada", scopes=["runs:read"])
    new = await idle_pulse.engine.spend_login_link(link.token)
    rows = await connection.fetch(
        "SELECT s::text AS row FROM pulse_sessions AS s "
        "UNION ALL SELECT l::text FROM pulse_login_links AS l "
        "UNION ALL SELECT a::text FROM pulse_audit AS a"
    )

    assert len(rows) == 4
    for token in (link.token, new.token):
        assert not [row for row in rows if token in row["row"]]


async def test_sessions_are_listed_page_by_page(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    for name in ("a", "b", "a", "c", "a"):
        await engine.begin_session(f"oidc:{name}", name=name, scopes=["runs:read"], tenants=None)
    seen: list[str] = []
    cursor = None
    while True:
        page = await engine.list_sessions(limit=2, cursor=cursor)
        seen += [each.name for each in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == ["a", "c", "a", "b", "a"]
    assert len(await engine.list_sessions(user_id="oidc:a")) == 3


SCOPES = ["runs:read"]
SENSELESS: dict[str, Callable[[Engine], Awaitable[object]]] = {
    "no scope": lambda engine: engine.create_login_link("Ada", scopes=[]),
    "no such scope": lambda engine: engine.create_login_link("Ada", scopes=["runs:write"]),
    "no name": lambda engine: engine.create_login_link("", scopes=SCOPES),
    "no tenant": lambda engine: engine.create_login_link("Ada", scopes=SCOPES, tenants=[]),
    "an empty tenant": lambda engine: engine.create_login_link("A", scopes=SCOPES, tenants=[""]),
    "no time": lambda engine: engine.create_login_link(
        "Ada", scopes=SCOPES, expires_in=timedelta()
    ),
    "too long": lambda engine: engine.create_login_link(
        "Ada", scopes=SCOPES, expires_in=timedelta(days=8)
    ),
}


@pytest.mark.parametrize("create", SENSELESS.values(), ids=SENSELESS.keys())
async def test_a_link_that_makes_no_sense_is_refused(
    idle_pulse: PulseTest, create: Callable[[Engine], Awaitable[object]]
) -> None:
    with pytest.raises(InvalidInputError):
        await create(idle_pulse.engine)
    assert not await idle_pulse.engine.is_anybody_known()


async def test_nobody_signs_in_without_a_record_of_it(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    engine = idle_pulse.engine
    made = await engine.create_login_link("Ada", scopes=SCOPES)
    new = await engine.begin_session("oidc:1", name="Ada", scopes=SCOPES, tenants=None)
    changes: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: engine.create_login_link("Bob", scopes=SCOPES),
        lambda: engine.spend_login_link(made.token),
        lambda: engine.begin_session("oidc:2", name="Bob", scopes=SCOPES, tenants=None),
        lambda: engine.end_session(new.session.id),
    )
    arm(parse("audit.before_write=raise"))
    for change in changes:
        with pytest.raises(FailpointError):
            await change()
    arm({})

    assert len(await engine.list_sessions()) == 1
    assert await connection.fetchval("SELECT count(*) FROM pulse_login_links") == 1
    await engine.spend_login_link(made.token)
