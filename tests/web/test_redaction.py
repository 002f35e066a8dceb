"""Values are taken out of all that leaves, by the application's rule and by people's rights."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from pydantic import JsonValue
from starlette.requests import Request

from pulse_temporal import ExecutionLog, RunSummary, TriggerEnvelope, WorkflowContext
from pulse_temporal.model.diff import FieldDifference
from pulse_temporal.model.views import Notice
from pulse_temporal.web import SCOPES, Principal, ValueKind, asgi
from pulse_temporal.web.options import WebOptions
from pulse_temporal.web.redaction import HIDDEN, Redaction
from tests.harness import TENANT, PulseTest
from tests.web.asking import ask
from tests.web.conftest import served

SECRET = "hunter2"  # noqa: S105 - what must not be seen
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ALL = Principal(id="user:ada", name="Ada", tenants="*", scopes=SCOPES)
BLIND = Principal(id="user:bob", name="Bob", tenants="*", scopes=SCOPES - {"payloads:read"})


def without_secret(_principal: Principal, _kind: ValueKind, value: JsonValue) -> JsonValue:
    """Take one word out, wherever it stands."""
    if isinstance(value, str):
        return value.replace(SECRET, "***")
    if isinstance(value, list):
        return [without_secret(_principal, _kind, each) for each in value]
    if isinstance(value, dict):
        return {name: without_secret(_principal, _kind, each) for name, each in value.items()}
    return value


def broken(_principal: Principal, _kind: ValueKind, _value: JsonValue) -> JsonValue:
    raise RuntimeError(SECRET)


def trigger(payload: dict[str, JsonValue]) -> TriggerEnvelope:
    return TriggerEnvelope.model_validate(
        {
            "id": "trg_1",
            "tenant_id": TENANT,
            "source": "shop",
            "type": "order.paid",
            "payload": payload,
            "created_at": NOW,
        }
    )


def log_line(message: str, data: dict[str, JsonValue]) -> ExecutionLog:
    return ExecutionLog(
        id="log_1",
        run_id="run_1",
        tenant_id=TENANT,
        level="info",
        message=message,
        data=data,
        created_at=NOW,
        seq=1,
    )


def test_without_a_rule_nothing_is_touched() -> None:
    shown = trigger({"card": SECRET})
    assert Redaction().of(ALL, shown) is shown


def test_whoever_may_not_see_values_sees_their_size() -> None:
    assert Redaction().of(BLIND, trigger({"card": "é"})).payload == {HIDDEN: "14 bytes"}
    assert Redaction().text(BLIND, "é") == f"{HIDDEN} (2 bytes)"
    notice = Notice(kind="retrying", reason=SECRET)
    blocked = Notice(kind="blocked", reason="no worker")
    assert Redaction().of(BLIND, [notice, blocked]) == [
        Notice(kind="retrying", reason=f"{HIDDEN} (7 bytes)"),
        blocked,
    ]


def test_the_application_says_what_is_shown_instead() -> None:
    kinds: list[ValueKind] = []

    def rule(principal: Principal, kind: ValueKind, value: JsonValue) -> JsonValue:
        assert principal is ALL
        kinds.append(kind)
        return without_secret(principal, kind, value)

    redaction = Redaction(rule)
    shown = redaction.of(ALL, (trigger({"card": SECRET}), log_line(SECRET, {"card": [SECRET]})))
    assert shown[0].payload == {"card": "***"}
    assert (shown[1].message, shown[1].data) == ("***", {"card": ["***"]})
    config = FieldDifference(field="config/card", outcome="changed", old=SECRET, new=1)
    assert redaction.of(ALL, config).old == "***"
    steps = FieldDifference(field="steps", outcome="added", new=[{"config": {"card": SECRET}}])
    assert redaction.of(ALL, steps).new == [{"config": {"card": "***"}}]
    assert kinds == ["payload", "log", "log", "config", "config", "config"]


@pytest.mark.parametrize("answer", ["text", 7, ["list"], None])
def test_an_object_stays_an_object(answer: JsonValue) -> None:
    redaction = Redaction(lambda _principal, _kind, _value: answer)
    assert redaction.of(ALL, trigger({"card": SECRET})).payload == {HIDDEN: answer}


def test_a_rule_cannot_change_what_others_are_shown() -> None:
    def rule(_principal: Principal, _kind: ValueKind, value: JsonValue) -> JsonValue:
        if isinstance(value, dict):
            value["card"] = "gone"
        return value

    first = trigger({"card": SECRET})
    assert Redaction(rule).of(ALL, first).payload == {"card": "gone"}
    assert first.payload == {"card": SECRET}


def test_a_rule_that_fails_hides_the_value(caplog: pytest.LogCaptureFixture) -> None:
    assert Redaction(broken).of(ALL, trigger({"card": SECRET})).payload == {HIDDEN: "19 bytes"}
    no_json = Redaction(lambda _principal, _kind, _value: object())  # pyright: ignore[reportArgumentType] - a mistake
    assert no_json.of(ALL, trigger({"card": SECRET})).payload == {HIDDEN: "19 bytes"}
    assert "The redaction of the application has failed, so" in caplog.text


def test_a_summary_keeps_all_but_its_error() -> None:
    summary = RunSummary(
        id="run_1",
        tenant_id=TENANT,
        definition_id="wfd_1",
        definition_name="Ship",
        signal_id="trg_1",
        signal_type="order.paid",
        status="failed",
        error_message=SECRET,
        created_at=NOW,
    )
    shown = Redaction(without_secret).of(ALL, summary)
    assert shown == summary.model_copy(update={"error_message": "***"})


async def a_run_full_of_secrets(pulse: PulseTest) -> tuple[str, str]:
    """Let a run fail that has the word in every value; return its id and its signal's."""

    async def leak(context: WorkflowContext) -> dict[str, JsonValue]:
        context.log(f"card {SECRET}", {"card": SECRET}, "warn")
        return {"card": SECRET}

    async def fail(_context: WorkflowContext) -> None:
        raise RuntimeError(f"card {SECRET} was refused")

    pulse.engine.register_action("leak", leak)
    pulse.engine.register_action("fail", fail)
    await pulse.define("order.paid", "leak", "fail", config={"secret": SECRET})
    run = await pulse.emit_and_wait("order.paid", {"card": SECRET})
    assert run.status == "failed"
    return run.id, run.trigger_id


async def first_event(address: str, path: str, headers: Mapping[str, str]) -> str:
    """Return what a stream sends first to whoever has seen nothing."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=2**20)
    given = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\n{given}\r\n".encode())
    text = await reader.readuntil(b"</hx-partial>")
    text += await reader.readuntil(b"</hx-partial>")
    writer.close()
    return text.decode()


async def test_the_secret_word_is_in_no_byte_of_any_page_or_stream(pulse: PulseTest) -> None:
    run_id, signal_id = await a_run_full_of_secrets(pulse)
    messages = f"runs/{run_id}/steps/0"
    paths = (
        "",
        "runs",
        "failures",
        f"runs/{run_id}",
        messages,
        f"runs/{run_id}/steps/1",
        "signals",
        f"signals/{signal_id}",
        "search?q=order.paid",
    )
    streams = ("runs/stream", f"runs/{run_id}/stream")

    async def who(request: Request) -> Principal:
        return BLIND if "x-blind" in request.headers else ALL

    open_pages = asgi(pulse.engine, options=WebOptions())
    for path in (f"runs/{run_id}", f"runs/{run_id}/steps/0", f"signals/{signal_id}"):
        assert SECRET in (await ask(open_pages, f"/t/{TENANT}/{path}")).text, path
    for redact in (without_secret, broken, None):
        pages = asgi(pulse.engine, authenticate=who, redact=redact, options=WebOptions())
        headers = {} if redact else {"x-blind": "1"}
        for path in paths if redact else set(paths) - {messages}:  # seen with runs:read too
            answer = await ask(pages, f"/t/{TENANT}/{path}", headers=headers)
            assert answer.status == 200
            assert SECRET not in answer.text, path
        async with served(pulse, authenticate=who, redact=redact) as address:
            for path in streams:
                event = await first_event(address, f"/t/{TENANT}/{path}", headers)
                assert run_id in event
                assert SECRET not in event, path
