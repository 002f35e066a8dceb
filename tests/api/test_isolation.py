"""Every operation, asked with the wrong key: made from the list of operations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import pytest

from pulse_temporal.clock import utc_now
from pulse_temporal.model.api_keys import SCOPES
from pulse_temporal.services.people import api_keys
from pulse_temporal.web.api.operations import Operation
from pulse_temporal.web.api.service import OPERATIONS
from tests.api.calling import Api, api_of
from tests.harness import SOURCE, TENANT, PulseTest, eventually

OF_ONE = [operation for operation in OPERATIONS if "{" in operation.path]
UNSAFE = [operation for operation in OPERATIONS if operation.method != "GET"]
STORES_NOTHING = {"signals.explain_new", "definitions.validate", "definitions.plan"}


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look keys up each time, as after ten seconds."""
    monkeypatch.setattr(api_keys, "REMEMBERED", timedelta())


@dataclass(frozen=True)
class World:
    """What tenant A has, and what nobody has."""

    theirs: Mapping[str, str]
    absent: Mapping[str, str]


async def world_of(pulse: PulseTest) -> World:
    pulse.action("ship", fails=9)
    definition = await pulse.define("order.paid", "ship", key="theirs")
    run = await pulse.emit_and_wait("order.paid")
    key = await pulse.engine.create_api_key("theirs", scopes=["runs:read"], tenant_id=TENANT)
    bulk = await pulse.engine.start_bulk("cancel", run_ids=["run_1"], tenant_id=TENANT)

    async def is_over() -> bool:
        found = await pulse.engine.get_bulk(bulk.id)
        return found is not None and found.is_over

    await eventually(is_over)
    theirs = {
        "operation_id": bulk.id,
        "run_id": run.id,
        "signal_id": run.trigger_id,
        "definition_id": definition.id,
        "key_id": key.key.id,
        "number": "1",
        "path": "0",
        "key": "theirs",
    }
    absent = {**theirs, **{name: f"{name[:3]}_absent" for name in theirs if name.endswith("_id")}}
    return World(theirs, absent)


def path_of(operation: Operation, names: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)(:path)?\}", lambda found: names[found[1]], operation.path)


def body_of(operation: Operation) -> object:
    if operation.example is None:
        return None
    if operation.id == "signals.emit_many":
        return {"signals": [{**SIGNAL, "idempotencyKey": "k"}]}
    return SIGNAL if operation.id.startswith("signals.e") else operation.example


SIGNAL = {"source": SOURCE, "type": "order.paid"}


async def test_what_is_another_tenants_answers_like_what_does_not_exist(pulse: PulseTest) -> None:
    world = await world_of(pulse)
    api = await api_of(pulse, tenant_id="theirs")
    kept = await everything(pulse)

    for operation in OF_ONE:
        if operation.id == "definitions.put":
            continue  # a key is each tenant's own
        body = body_of(operation)
        got = await api.call(operation.method, path_of(operation, world.theirs), body)
        missing = await api.call(operation.method, path_of(operation, world.absent), body)
        assert got.status == 404, operation.id
        assert got.answer == missing.answer, operation.id

    assert await everything(pulse) == kept


async def test_lists_have_nothing_of_another_tenant(pulse: PulseTest) -> None:
    world = await world_of(pulse)
    api = await api_of(pulse, tenant_id="theirs")

    for operation in OPERATIONS:
        if operation.method != "GET" or "{" in operation.path or operation.is_stream:
            continue
        reply = await api.get(operation.path)
        assert reply.status in {200, 404}, operation.id
        for name in ("run_id", "signal_id", "definition_id", "key_id", "operation_id"):
            assert world.theirs[name] not in reply.answer.text, operation.id


async def everything(pulse: PulseTest) -> object:
    """Give all that requests could have changed."""
    engine = pulse.engine
    return (
        (await engine.list_runs()).items,
        (await engine.list_workflows()).items,
        (await engine.list_signals(tenant_id=TENANT)).items,
        (await engine.list_bulk(tenant_id=TENANT)).items,
        (await engine.list_audit(tenant_id=TENANT)).items,
    )


async def test_a_key_that_is_not_good_opens_nothing(pulse: PulseTest) -> None:
    world = await world_of(pulse)
    engine = pulse.engine
    revoked = await engine.create_api_key("revoked", scopes=SCOPES, tenant_id=TENANT)
    await engine.revoke_api_key(revoked.key.id)
    expired = await engine.create_api_key(
        "expired",
        scopes=SCOPES,
        tenant_id=TENANT,
        expires_at=utc_now() + timedelta(milliseconds=1),
    )
    tokens = {
        None: "token_missing",
        "x": "token_missing",  # the application's own, which knows nobody
        "pulse_sk_x": "token_invalid",
        revoked.token: "key_revoked",
        expired.token: "token_expired",
    }
    kept = await everything(pulse)

    for token, code in tokens.items():
        api = Api(pulse, token)
        for operation in OPERATIONS:
            path = path_of(operation, world.theirs)
            reply = await api.call(operation.method, path, body_of(operation))
            assert (reply.status, reply.code) == (401, code), operation.id

    assert await everything(pulse) == kept


async def test_each_operation_takes_its_scope(pulse: PulseTest) -> None:
    world = await world_of(pulse)
    for scope in sorted(SCOPES):
        api = await api_of(pulse, scopes=SCOPES - {scope}, tenant_id=None)
        kept = await everything(pulse)
        for operation in OPERATIONS:
            if operation.scope == scope:
                path = path_of(operation, world.theirs)
                reply = await api.call(
                    operation.method, path, body_of(operation), headers={"pulse-tenant": TENANT}
                )
                assert (reply.status, reply.code) == (403, "scope_missing"), operation.id
        assert await everything(pulse) == kept


async def test_a_viewer_changes_nothing(pulse: PulseTest) -> None:
    world = await world_of(pulse)
    api = await api_of(pulse, role="viewer")
    kept = await everything(pulse)

    for operation in UNSAFE:
        path = path_of(operation, world.theirs)
        reply = await api.call(operation.method, path, body_of(operation))
        is_question = operation.id in STORES_NOTHING
        assert reply.status == (200 if is_question else 403), (operation.id, reply.answer.text)

    assert await everything(pulse) == kept
