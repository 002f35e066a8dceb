"""API keys, and the audit: who has changed what, recorded with the change or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from pulse_temporal import (
    Actor,
    CredentialError,
    Engine,
    InvalidInputError,
    KeyExpiredError,
    KeyRevokedError,
    KeyRotatedError,
    NotFoundError,
    acting,
)
from pulse_temporal.clock import utc_now
from pulse_temporal.errors import FailpointError
from pulse_temporal.failpoints import arm, parse
from pulse_temporal.services.people import api_keys
from tests.harness import TENANT, PulseTest

ADA = Actor(id="user:ada@acme.example", name="Ada")


@pytest.fixture(autouse=True)
def disarmed() -> Generator[None]:
    yield
    arm({})


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look keys up each time, as after ten seconds."""
    monkeypatch.setattr(api_keys, "REMEMBERED", timedelta())


async def test_a_key_is_recognised_by_its_token(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    with acting(ADA):
        made = await engine.create_api_key("ci", scopes={"runs:read"}, tenant_id=TENANT)

    known = await engine.authenticate_api_key(made.token)

    assert (known.id, known.tenant_id, known.scopes) == (made.key.id, TENANT, ("runs:read",))
    assert known.created_by == ADA.id
    (listed,) = (await engine.list_api_keys()).items
    assert listed.last_used_at is not None


async def test_the_secret_is_nowhere_in_postgres(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    made = await idle_pulse.engine.create_api_key("ci", scopes=["runs:read"])
    rows = await connection.fetch(
        "SELECT k::text AS row FROM pulse_api_keys AS k "
        "UNION ALL SELECT a::text FROM pulse_audit AS a"
    )

    assert len(rows) == 2
    assert not [row for row in rows if made.token[-43:] in row["row"]]


async def test_a_wrong_token_is_of_no_key(idle_pulse: PulseTest) -> None:
    made = await idle_pulse.engine.create_api_key("ci", scopes=["runs:read"])
    other = await idle_pulse.engine.create_api_key("other", scopes=["runs:read"])
    mixed = made.token[:-43] + other.token[-43:]

    for token in ("", "x", made.token + "x", made.token[:-1], mixed, "\x00", "pulse_sk_é"):
        with pytest.raises(CredentialError) as refusal:
            await idle_pulse.engine.authenticate_api_key(token)
        assert refusal.value.code == "token_invalid"


async def test_a_revoked_key_is_refused(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    made = await engine.create_api_key("ci", scopes=["runs:read"], tenant_id=TENANT)
    await engine.authenticate_api_key(made.token)

    await engine.revoke_api_key(made.key.id, reason="leaked")
    await engine.revoke_api_key(made.key.id, reason="again")

    with pytest.raises(KeyRevokedError):
        await engine.authenticate_api_key(made.token)
    trail = (await engine.list_audit(subject_id=made.key.id)).items
    assert [(each.action, each.reason) for each in trail] == [
        ("key.revoke", "leaked"),
        ("key.create", None),
    ]


async def test_a_key_is_refused_when_its_time_is_over(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    engine = idle_pulse.engine
    made = await engine.create_api_key(
        "ci", scopes=["runs:read"], expires_at=utc_now() + timedelta(hours=1)
    )
    await engine.authenticate_api_key(made.token)
    await connection.execute("UPDATE pulse_api_keys SET expires_at = now() - interval '1 day'")

    with pytest.raises(KeyExpiredError):
        await engine.authenticate_api_key(made.token)
    with pytest.raises(KeyRevokedError):
        await engine.rotate_api_key(made.key.id)


async def test_a_key_is_rotated_and_the_old_one_lives_on_for_a_while(
    idle_pulse: PulseTest,
) -> None:
    engine = idle_pulse.engine
    made = await engine.create_api_key("ci", scopes=["runs:read"], tenant_id=TENANT)

    new = await engine.rotate_api_key(made.key.id)

    assert (await engine.authenticate_api_key(new.token)).id == new.key.id
    old = await engine.authenticate_api_key(made.token)
    assert old.replaced_by == new.key.id
    assert old.expires_at is not None
    assert (new.key.tenant_id, new.key.scopes, new.key.expires_at) == (
        TENANT,
        ("runs:read",),
        None,
    )
    with pytest.raises(KeyRotatedError):
        await engine.rotate_api_key(made.key.id)
    last = await engine.rotate_api_key(new.key.id, grace=timedelta())
    with pytest.raises(KeyExpiredError):
        await engine.authenticate_api_key(new.token)
    assert (await engine.authenticate_api_key(last.token)).id == last.key.id


SCOPES = ["runs:read"]
PAST = datetime(2020, 1, 1, tzinfo=UTC)
SENSELESS: dict[str, Callable[[Engine], Awaitable[object]]] = {
    "no scope": lambda engine: engine.create_api_key("ci", scopes=[]),
    "a text": lambda engine: engine.create_api_key("ci", scopes="runs"),
    "no such scope": lambda engine: engine.create_api_key("ci", scopes=["runs:write"]),
    "no name": lambda engine: engine.create_api_key("", scopes=SCOPES),
    "NUL": lambda engine: engine.create_api_key("a\x00b", scopes=SCOPES),
    "no tenant": lambda engine: engine.create_api_key("ci", scopes=SCOPES, tenant_id=""),
    "past": lambda engine: engine.create_api_key("ci", scopes=SCOPES, expires_at=PAST),
}


@pytest.mark.parametrize("create", SENSELESS.values(), ids=SENSELESS.keys())
async def test_a_key_that_makes_no_sense_is_refused(
    idle_pulse: PulseTest, create: Callable[[Engine], Awaitable[object]]
) -> None:
    with pytest.raises(InvalidInputError):
        await create(idle_pulse.engine)
    assert not (await idle_pulse.engine.list_api_keys()).items


async def test_keys_of_another_tenant_are_as_those_that_never_were(idle_pulse: PulseTest) -> None:
    theirs = await idle_pulse.engine.create_api_key("ci", scopes=["runs:read"], tenant_id="globex")
    of_all = await idle_pulse.engine.create_api_key("ci", scopes=["runs:read"])
    acme = idle_pulse.engine.for_tenant(TENANT)

    for key_id in (theirs.key.id, of_all.key.id):
        for act in (acme.revoke_api_key, acme.rotate_api_key):
            with pytest.raises(NotFoundError) as told:
                await act(key_id)
            with pytest.raises(NotFoundError) as absent:
                await act("key_none")
            assert str(told.value) == str(absent.value).replace("key_none", key_id)
    assert not (await acme.list_api_keys()).items
    assert not (await acme.list_audit()).items
    assert not (await acme.list_audit(subject_id=theirs.key.id)).items
    assert (await idle_pulse.engine.authenticate_api_key(theirs.token)).revoked_at is None


async def test_every_change_is_recorded_once_with_who_and_why(pulse: PulseTest) -> None:
    engine = pulse.engine
    pulse.action("fail", fails=99)
    gate = pulse.gate("wait")
    with acting(ADA, request_id="req-1"):
        definition = await pulse.define("t", "fail")
        await engine.update_workflow(definition.id, {"name": "New"}, note="clearer")
        await engine.disable_workflow(definition.id, note="noisy")
        await engine.disable_workflow(definition.id)
        await engine.restore_version(definition.id, 1)
        await engine.enable_workflow(definition.id)
    run = await pulse.emit_and_wait("t")
    with acting(ADA):
        await engine.retry_run(run.id)
        await engine.replay(run.trigger_id, dry_run=True)
        await engine.replay(run.trigger_id, idempotency_key="k")
        await engine.replay(run.trigger_id, idempotency_key="k")
    await pulse.define("u", "wait")
    waiting = await pulse.emit("u")
    with acting(ADA):
        await engine.cancel_run(waiting.run_ids[0], "not needed", by="Bob")
        await engine.delete_workflow(definition.id, note="over")
    gate.open()

    entries = (await engine.list_audit(tenant_id=TENANT)).items
    told = [
        (each.action, each.subject_id, each.reason, each.detail)
        for each in reversed(entries)
        if each.actor == ADA
    ]
    assert told == [
        ("definition.create", definition.id, None, {"version": 1}),
        ("definition.update", definition.id, "clearer", {"version": 2}),
        ("definition.disable", definition.id, "noisy", {"version": 3}),
        ("definition.restore", definition.id, None, {"version": 4, "restored": 1}),
        ("definition.enable", definition.id, None, {"version": 5}),
        ("run.retry", run.id, None, {"generation": 2}),
        ("signal.replay", run.trigger_id, None, {"dryRun": True, "runs": 1}),
        ("signal.replay", run.trigger_id, None, {"dryRun": False, "runs": 1}),
        ("run.cancel", waiting.run_ids[0], "not needed", {"by": "Bob"}),
        ("definition.delete", definition.id, "over", {"version": 6}),
    ]
    assert {each.request_id for each in entries if each.actor == ADA} == {"req-1", None}
    canceled = await engine.list_audit(action="run.cancel", limit=1)
    assert [each.subject_id for each in canceled.items] == [waiting.run_ids[0]]


async def test_the_audit_is_read_page_by_page(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    for number in range(5):
        await engine.create_api_key(f"k{number}", scopes=["runs:read"], tenant_id=TENANT)

    seen: list[str] = []
    keys: list[str] = []
    cursor = None
    while True:
        page = await engine.list_audit(tenant_id=TENANT, limit=2, cursor=cursor)
        seen += [str(each.detail["name"]) for each in page.items]
        if (cursor := page.next_cursor) is None:
            break
    while True:
        listed = await engine.list_api_keys(limit=2, cursor=cursor)
        keys += [each.name for each in listed.items]
        if (cursor := listed.next_cursor) is None:
            break

    assert seen == keys == ["k4", "k3", "k2", "k1", "k0"]


COUNTS = """
SELECT (SELECT count(*) FROM pulse_audit), (SELECT count(*) FROM pulse_api_keys),
    (SELECT sum(version) FROM pulse_workflow_definitions),
    (SELECT count(*) FROM pulse_definition_versions), (SELECT count(*) FROM pulse_workflow_runs),
    (SELECT count(*) FROM pulse_api_keys WHERE revoked_at IS NOT NULL),
    (SELECT string_agg(status, ',' ORDER BY id) FROM pulse_workflow_runs),
    (SELECT count(*) FROM pulse_outbox WHERE kind = 'cancel')
"""


async def test_a_failure_between_a_change_and_its_record_leaves_neither(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    engine = pulse.engine
    pulse.action("fail", fails=99)
    definition = await pulse.define("t", "fail")
    run = await pulse.emit_and_wait("t")
    gate = pulse.gate("wait")
    await pulse.define("u", "wait")
    waiting = await pulse.emit("u")
    await gate.reached()
    key = await engine.create_api_key("ci", scopes=["runs:read"])
    before = tuple(await connection.fetchrow(COUNTS) or ())
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "create": lambda: pulse.define("v", "fail"),
        "update": lambda: engine.update_workflow(definition.id, {"name": "x"}),
        "disable": lambda: engine.disable_workflow(definition.id),
        "delete": lambda: engine.delete_workflow(definition.id),
        "retry": lambda: engine.retry_run(run.id),
        "replay": lambda: engine.replay(run.trigger_id),
        "replay with a key": lambda: engine.replay(run.trigger_id, idempotency_key="k"),
        "cancel": lambda: engine.cancel_run(waiting.run_ids[0]),
        "create a key": lambda: engine.create_api_key("x", scopes=["runs:read"]),
        "rotate a key": lambda: engine.rotate_api_key(key.key.id),
        "revoke a key": lambda: engine.revoke_api_key(key.key.id),
    }

    arm(parse("audit.before_write=raise"))
    for change in changes.values():
        with pytest.raises(FailpointError):
            await change()
    after = tuple(await connection.fetchrow(COUNTS) or ())
    arm({})
    gate.open()

    assert after == before
