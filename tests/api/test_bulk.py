"""Bulk operations and the catalogue over HTTP."""

from __future__ import annotations

from pulse_temporal import WorkflowContext
from tests.api.calling import Api, api_of
from tests.harness import PulseTest, eventually


async def failed_runs(pulse: PulseTest, number: int) -> list[str]:
    """Return the ids of runs that have failed, and whose action would succeed now."""
    pulse.action("charge", fails=number)
    await pulse.define("order.paid", "charge")
    return [(await pulse.emit_and_wait("order.paid")).id for _ in range(number)]


async def over(api: Api, operation_id: str) -> None:
    """Wait until an operation is over."""

    async def look() -> bool:
        return (await api.get(f"/bulk/{operation_id}")).json["endedAt"] is not None

    await eventually(look)


async def test_runs_are_retried_together_and_followed(pulse: PulseTest) -> None:
    ids = await failed_runs(pulse, 2)
    api = await api_of(pulse)
    wanted = {"kind": "retry", "filter": {"status": "failed", "failedStep": "charge"}}

    seen = await api.post("/bulk/preview", wanted)
    started = await api.post("/bulk", {**wanted, "reason": "Fixed", "rate": 500})

    assert (seen.status, seen.json["eligible"]["count"]) == (200, 2)
    assert started.status == 202
    operation_id = started.json["id"]
    assert started.headers["location"] == f"bulk/{operation_id}"
    await over(api, operation_id)
    ended = await api.get(f"/bulk/{operation_id}")
    assert (ended.json["status"], ended.json["done"], ended.json["reason"]) == (
        "completed",
        2,
        "Fixed",
    )
    items = await api.get(f"/bulk/{operation_id}/items?outcome=done")
    assert [item["runId"] for item in items.items] == ids
    assert [each["id"] for each in (await api.get("/bulk")).items] == [operation_id]
    assert (await api.post(f"/bulk/{operation_id}/abort")).code == "bulk_over"
    assert (await api.post(f"/bulk/{operation_id}/repeat")).status == 422


async def test_the_same_key_starts_one_operation(idle_pulse: PulseTest) -> None:
    api = await api_of(idle_pulse)
    body: dict[str, object] = {"kind": "cancel", "filter": {}}
    headers = {"idempotency-key": "k"}
    first = await api.call("POST", "/bulk", body, headers=headers)
    again = await api.call("POST", "/bulk", body, headers=headers)
    other = await api.call("POST", "/bulk", {**body, "name": "x"}, headers=headers)
    assert first.json["id"] == again.json["id"]
    assert (other.status, other.code) == (422, "idempotency_conflict")
    aborted = await api.post(f"/bulk/{first.json['id']}/abort", {"reason": "Wrong"})
    assert (aborted.status, aborted.json["status"]) == (200, "aborted")


async def test_what_is_wrong_is_refused(idle_pulse: PulseTest) -> None:
    api = await api_of(idle_pulse)
    wrong: tuple[dict[str, object], ...] = (
        {},
        {"kind": "delete", "filter": {}},
        {"kind": "retry"},
        {"kind": "retry", "filter": {"color": "red"}},
        {"kind": "retry", "filter": {"status": "completed"}},
        {"kind": "retry", "filter": {"tenantId": "globex"}},
        {"kind": "retry", "filter": {}, "rate": 0},
    )
    for body in wrong:
        assert (await api.post("/bulk", body)).status == 422, body
    everybodys = await api_of(idle_pulse, tenant_id=None)
    refused = await everybodys.post("/bulk", {"kind": "retry", "filter": {}})
    assert (refused.status, refused.code) == (400, "tenant_required")


async def test_the_catalogue_has_for_tenants_what_is_for_tenants(pulse: PulseTest) -> None:
    async def work(_: WorkflowContext) -> None:
        """Do nothing."""

    pulse.engine.register_action("send", work, title="Send")
    pulse.engine.register_action("purge", work, audience="operators")
    tenants = await (await api_of(pulse)).get("/catalog")
    all_of_it = await (await api_of(pulse, tenant_id=None)).get("/catalog")
    assert [(each["name"], each["title"]) for each in tenants.items] == [("send", "Send")]
    assert {each["name"] for each in all_of_it.items} == {"send", "purge"}
