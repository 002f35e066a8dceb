"""What the operations do."""

from __future__ import annotations

import asyncio

from tests.api.calling import api_of
from tests.harness import SOURCE, TENANT, PulseTest


async def test_a_signal_starts_a_run_that_can_be_followed(pulse: PulseTest) -> None:
    pulse.action("ship", returns={"parcel": "p-1"})
    await pulse.define("order.paid", "ship")
    api = await api_of(pulse)

    signal = {"source": SOURCE, "type": "order.paid", "resource_id": "o-1", "payload": {"a": 1}}
    made = await api.post("/signals", signal)
    assert made.status == 201
    (run_id,) = made.json["runIds"]
    await pulse.engine.wait_for_run(str(run_id))

    run = await api.get(f"/runs/{run_id}")
    assert (run.json["status"], run.json["context"]) == ("completed", {"ship": {"parcel": "p-1"}})
    tag = run.headers["etag"]
    assert (await api.get(f"/runs/{run_id}", **{"if-none-match": tag})).status == 304
    for part in ("steps", "attempts", "timeline", "logs"):
        assert (await api.get(f"/runs/{run_id}/{part}")).status == 200
    assert (await api.get(f"/runs/{run_id}/steps/0")).json["result"] == {"parcel": "p-1"}
    assert (await api.get(f"/runs/{run_id}/steps/9")).status == 404
    assert (await api.get(f"/runs/{run_id}/steps/odd")).status == 404
    assert (await api.get(f"/runs/{run_id}/view")).json["run"]["id"] == run_id
    assert (await api.get(f"/runs/{run_id}/snapshot")).json["name"] == "On order.paid"
    assert [item["id"] for item in (await api.get("/runs?status=completed")).items] == [run_id]
    assert (await api.get("/runs?status=failed&status=pending")).items == []
    counts = (await api.get("/runs/counts")).json
    assert counts["completed"] == {"count": 1, "isBounded": False}

    trigger_id = made.json["id"]
    assert (await api.get(f"/signals/{trigger_id}")).json["payload"] == {"a": 1}
    assert [item["id"] for item in (await api.get(f"/signals/{trigger_id}/runs")).items] == [
        run_id
    ]
    assert (await api.get(f"/signals/{trigger_id}/explanation")).json["runs"] == 1
    assert (await api.get(f"/signals/{trigger_id}/chain")).json["nodes"] == 2
    assert (await api.post("/signals/explain", signal)).json["runs"] == 1
    assert (await api.get(f"/search?q={run_id}")).items[0]["kind"] == "run"


async def test_one_key_at_once_is_one_signal(pulse: PulseTest) -> None:
    pulse.action("ship")
    await pulse.define("order.paid", "ship")
    api = await api_of(pulse)
    signal = {"source": SOURCE, "type": "order.paid"}

    replies = await asyncio.gather(
        *(api.post("/signals", signal, **{"idempotency-key": "k"}) for _ in range(100))
    )
    statuses = [reply.status for reply in replies]
    done = [reply for reply in replies if reply.status in {200, 201}]

    assert statuses.count(201) == 1
    assert all(reply.headers["retry-after"] for reply in replies if reply not in done)
    assert len({reply.json["id"] for reply in done}) == 1
    assert len((await pulse.engine.list_signals(tenant_id=TENANT)).items) == 1
    other = await api.post("/signals", {**signal, "resourceId": "x"}, **{"idempotency-key": "k"})
    assert (other.status, other.code) == (422, "idempotency_conflict")
    both = await api.post(
        "/signals", {**signal, "idempotencyKey": "a"}, **{"idempotency-key": "b"}
    )
    assert both.status == 422


async def test_a_key_that_is_under_way_is_busy(pulse: PulseTest) -> None:
    pulse.signal("order.paid")
    api = await api_of(pulse)
    signal = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid", "idempotencyKey": "k"}
    async with pulse.engine.transaction() as connection:
        await pulse.engine.emit(signal, connection=connection)
        reply = await api.post("/signals", signal)
    assert (reply.status, reply.code) == (409, "emit_busy")
    assert reply.headers["retry-after"]


async def test_a_batch_is_stored_whole_or_not_at_all(pulse: PulseTest) -> None:
    pulse.signal("order.paid")
    api = await api_of(pulse)
    signal = {"source": SOURCE, "type": "order.paid"}

    made = await api.post("/signals/batch", {"signals": [signal, signal]})
    assert (made.status, len(made.items)) == (201, 2)
    refused = await api.post("/signals/batch", {"signals": [signal, {"type": "x"}]})
    assert refused.status == 422
    assert refused.json["problems"][0]["pointer"] == "/signals/1"
    wrong: list[dict[str, object]] = [
        {},
        {"signals": 1},
        {"signals": [1]},
        {"signals": [], "a": 1},
    ]
    for odd in wrong:
        assert (await api.post("/signals/batch", odd)).status == 422
    assert len((await api.get("/signals")).items) == 2


async def test_a_run_is_canceled_retried_and_replayed_in_the_name_of_the_key(
    pulse: PulseTest,
) -> None:
    pulse.action("ship", fails=1)
    await pulse.define("order.paid", "ship")
    run = await pulse.emit_and_wait("order.paid")
    api = await api_of(pulse)

    retried = await api.post(f"/runs/{run.id}/retry", {"reason": "it is back"})
    assert (retried.status, retried.json["generation"]) == (200, 2)
    await pulse.engine.wait_for_run(run.id)
    again = await api.post(f"/runs/{run.id}/retry")
    assert (again.status, again.code) == (409, "run_transition")
    key = {"idempotency-key": "r"}
    first = await api.post(f"/signals/{run.trigger_id}/replay", {"dryRun": True}, **key)
    second = await api.post(f"/signals/{run.trigger_id}/replay", {"dryRun": True}, **key)
    assert first.status == 201
    assert [item["id"] for item in first.items] == [item["id"] for item in second.items]
    await pulse.engine.wait_for_run(str(first.items[0]["id"]))
    assert (await api.post(f"/runs/{run.id}/cancel")).code == "run_transition"

    entries = (await api.get("/audit")).items
    told = {entry["action"]: entry for entry in entries}
    me = (await api.get("/whoami")).json
    assert told["run.retry"]["actor"] == {"id": me["id"], "name": "admin", "kind": "key"}
    assert told["run.retry"]["reason"] == "it is back"
    assert told["run.retry"]["requestId"] == "req_test"
    assert {"run.retry", "signal.replay"} <= told.keys()


async def test_a_definition_is_changed_by_one_editor_at_a_time(pulse: PulseTest) -> None:
    pulse.action("ship")
    pulse.signal("order.paid")
    api = await api_of(pulse)
    content = {"name": "Ship", "triggerType": "order.paid", "steps": [action("ship")]}

    made = await api.post("/definitions", content, **{"pulse-note": "für Ada"})
    assert (made.status, made.headers["etag"]) == (201, '"1"')
    assert made.json["warnings"] == []
    path = made.headers["location"].removeprefix("/api/v1")
    assert (await api.get(path, **{"if-none-match": '"1"'})).status == 304
    mine = {"if-match": '"1"'}
    changed = await api.call("PATCH", path, {"name": "Mine"}, headers=mine)
    assert (changed.status, changed.headers["etag"]) == (200, '"2"')
    theirs = await api.call("PATCH", path, {"name": "Theirs"}, headers=mine)
    assert (theirs.status, theirs.code, theirs.headers["etag"]) == (412, "version_differs", '"2"')
    assert (await api.call("PATCH", path, {"name": "All"})).status == 200
    assert (await api.post(f"{path}/disable", {"note": "n"})).json["isEnabled"] is False
    assert (await api.post(f"{path}/enable")).json["isEnabled"] is True
    assert (await api.post(f"{path}/versions/1/restore")).json["name"] == "Ship"
    versions = (await api.get(f"{path}/versions")).items
    assert [item["version"] for item in versions] == [6, 5, 4, 3, 2, 1]
    assert versions[-1]["note"] == "für Ada"
    assert (await api.get(f"{path}/versions/1")).json["content"]["name"] == "Ship"
    assert (await api.get(f"{path}/versions/9")).status == 404
    assert (await api.get(f"{path}/next-runs?n=3")).items == []
    assert (await api.get("/definitions?isEnabled=true")).items[0]["id"] == made.json["id"]
    assert (await api.call("DELETE", path)).status == 204
    assert (await api.get(path)).status == 404


async def test_all_that_is_wrong_with_a_definition_is_told_at_once(pulse: PulseTest) -> None:
    pulse.action("ship")
    pulse.signal("order.paid")
    api = await api_of(pulse)
    content = {
        "name": "",
        "triggerType": "order.paid",
        "steps": [action("shp"), {"type": "delay", "name": "d", "delayMs": -1}],
    }

    refused = await api.post("/definitions", content)
    assert (refused.status, refused.code) == (422, "definition_invalid")
    problems = refused.json["problems"]
    pointers = {each["pointer"] for each in problems}
    assert {"/name", "/steps/1/delayMs"} <= pointers
    report = (await api.post("/definitions/validate", content)).json
    assert report["isValid"] is False
    assert report["problems"] == problems


async def test_a_definition_is_stored_by_its_key(pulse: PulseTest) -> None:
    pulse.action("ship")
    pulse.signal("order.paid")
    api = await api_of(pulse)
    content = {"name": "Ship", "triggerType": "order.paid", "steps": [action("ship")]}

    outcomes = [
        (reply.status, reply.json["outcome"])
        for body in (content, content, {**content, "name": "Other"})
        for reply in [await api.call("PUT", "/definitions/by-key/ship", body)]
    ]
    assert outcomes == [(201, "created"), (200, "unchanged"), (200, "updated")]
    named = {"setName": "shop", "documents": [{**content, "key": "new"}]}
    assert (await api.post("/definitions/plan", named)).json["isApplied"] is False
    done = (await api.post("/definitions/apply", named)).json
    assert (done["isApplied"], done["changes"][0]["action"]) == (True, "create")
    assert (await api.post("/definitions/apply", {"documents": []})).status == 422
    assert (await api.post("/definitions/plan", {"setName": "x"})).status == 422


async def test_keys_are_made_rotated_and_taken_away(idle_pulse: PulseTest) -> None:
    api = await api_of(idle_pulse)
    made = await api.post("/keys", {"name": "ci", "scopes": ["runs:read"]})
    assert made.status == 201
    key = made.json["key"]
    assert key["tenantId"] == TENANT
    rotated = await api.post(f"/keys/{key['id']}/rotate", {"graceSeconds": 0})
    assert rotated.json["token"] != made.json["token"]
    again = await api.post(f"/keys/{key['id']}/rotate")
    assert again.status in {404, 409, 401}
    revoked = await api.post(f"/keys/{rotated.json['key']['id']}/revoke", {"reason": "x"})
    assert revoked.json["revokedAt"] is not None
    assert len((await api.get("/keys")).items) == 3


async def test_nobody_makes_a_key_that_may_do_more(idle_pulse: PulseTest) -> None:
    strong = await api_of(idle_pulse)
    strong_id = (await strong.get("/whoami")).json["id"]
    api = await api_of(idle_pulse, scopes={"settings:write", "runs:read"})

    for reply in (
        await api.post("/keys", {"name": "x", "scopes": ["runs:act"]}),
        await api.post(f"/keys/{strong_id}/rotate"),
    ):
        assert (reply.status, reply.code) == (403, "scope_missing")
    everyone = {"name": "x", "scopes": ["runs:read"], "allTenants": True}
    assert (await api.post("/keys", everyone)).status == 404
    operator = await api_of(idle_pulse, tenant_id=None)
    assert (await operator.post("/keys", {"name": "x", "scopes": ["runs:read"]})).status == 400
    assert (await operator.post("/keys", everyone)).status == 201


async def test_operators_see_all_tenants(pulse: PulseTest) -> None:
    pulse.action("ship")
    await pulse.define("order.paid", "ship", tenant_id="theirs")
    operator, narrow = await api_of(pulse, tenant_id=None), await api_of(pulse)

    assert [item["id"] for item in (await operator.get("/tenants")).items] == ["theirs"]
    assert (await operator.get("/workers")).items[0]["isLive"] is True
    health = await operator.get("/health")
    assert (health.status == 503) is (health.json["status"] == "failed")
    assert (await operator.post("/reconcile", {"dryRun": True})).json["applied"] is False
    for path in ("/tenants", "/workers", "/health"):
        assert (await narrow.get(path)).status == 404
    assert (await narrow.post("/reconcile")).status == 404


async def test_whoever_may_not_see_payloads_sees_their_size(pulse: PulseTest) -> None:
    pulse.action("charge", returns={"card": "hunter2"})
    pulse.action("ship", fails=9)
    await pulse.define("order.paid", "charge", "ship", config={"secret": "hunter2"})
    run = await pulse.emit_and_wait("order.paid", {"card": "hunter2"})
    scopes = {"runs:read", "signals:read", "definitions:read", "audit:read"}
    api = await api_of(pulse, scopes=scopes)

    for path in (
        f"/signals/{run.trigger_id}",
        "/signals",
        "/runs",
        "/failures",
        f"/runs/{run.id}",
        f"/runs/{run.id}/view",
        f"/runs/{run.id}/snapshot",
        f"/runs/{run.id}/steps",
        f"/runs/{run.id}/steps/0",
        f"/runs/{run.id}/steps/1",
        f"/runs/{run.id}/attempts",
        f"/runs/{run.id}/timeline",
        f"/runs/{run.id}/logs",
        f"/runs/{run.id}/stream",
        "/definitions",
        f"/definitions/{run.definition_id}",
        f"/definitions/{run.definition_id}/versions/1",
        "/audit",
        f"/search?q={run.id}",
    ):
        reply = await api.get(path)
        assert reply.status == 200, path
        assert "hunter2" not in reply.answer.text, path
        assert "scripted failure" not in reply.answer.text, path
    shown = (await api.get(f"/signals/{run.trigger_id}")).json
    assert shown["payload"] == {"•••": "19 bytes"}


def action(name: str) -> dict[str, object]:
    return {"type": "action", "name": name}
