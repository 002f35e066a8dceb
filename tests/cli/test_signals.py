"""``pulse emit`` and ``pulse signals``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Ask
from tests.harness import TENANT, PulseTest

NOBODY = "trg_00000000000070008000000000000000"


async def test_a_signal_is_emitted_with_all_its_fields(ask: Ask, pulse: PulseTest) -> None:
    pulse.action("charge")
    await pulse.define("order.paid", "charge")

    told = await ask(
        *("emit", "order.paid", "--resource", "order/o-1/a", "--env", "test", "--source", "shop"),
        *("--data", "amount=5", "--data", 'who={"name": "Ada"}', "--data", "code=007"),
        *("--key", "k-1", "-o", "json"),
    )

    stored = json.loads(told.stdout)
    assert (stored["resourceType"], stored["resourceId"]) == ("order", "o-1/a")
    assert (stored["environment"], stored["source"]) == ("test", "shop")
    assert stored["payload"] == {"amount": 5, "who": {"name": "Ada"}, "code": "007"}
    assert (stored["idempotencyKey"], stored["tenantId"]) == ("k-1", TENANT)
    assert len(stored["runIds"]) == 1
    assert told.status == 0


async def test_waiting_shows_the_runs_and_ends_as_they_end(ask: Ask, pulse: PulseTest) -> None:
    pulse.action("charge", fails=1)
    await pulse.define("order.paid", "charge")

    failed = await ask("emit", "order.paid", "--wait")
    assert re.search(r"^trg_\w+  1 run$", failed.lines[0])
    assert failed.lines[-1].startswith("✗ failed  run_")
    assert failed.status == 1
    completed = await ask("emit", "order.paid", "--wait", "--timeout", "30s", "-o", "jsonl")
    assert json.loads(completed.stdout)["type"] == "order.paid"
    assert completed.status == 0


async def test_a_wait_that_is_too_short_fails(ask: Ask, pulse: PulseTest) -> None:
    gate = pulse.gate("pack")
    await pulse.define("order.paid", "pack")
    for form in ("table", "json"):
        told = await ask("emit", "order.paid", "--wait", "--timeout", "10ms", "-o", form)
        assert told.status == 1
        assert "over" in told.stderr
    gate.open()


async def test_the_payload_comes_from_a_file_or_a_pipe(
    ask: Ask, idle_pulse: PulseTest, tmp_path: Path
) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"a": 1}', encoding="utf-8")
    for arguments, stdin in (
        (("--file", str(file)), ""),
        (("--file", "-"), '{"a": 1}'),
        (("--json", '{"a": 1}'), ""),
    ):
        told = await ask("emit", "order.paid", *arguments, "-o", "json", stdin=stdin)
        assert json.loads(told.stdout)["payload"] == {"a": 1}
        trigger = await idle_pulse.engine.get_trigger(json.loads(told.stdout)["id"])
        assert trigger is not None


async def test_nothing_matched_says_what_was_probably_meant(
    ask: Ask, idle_pulse: PulseTest
) -> None:
    told = await ask("emit", "order.payed")
    assert told.stderr == "This tenant has no enabled definition.\n"
    await idle_pulse.define("order.paid")
    told = await ask("emit", "order.payed")
    assert told.lines[0].endswith("  0 runs")
    assert "waits for 'order.payed'. Did you mean \"order.paid\"?" in told.stderr
    assert told.status == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--resource", "order"), "--resource: 'order' is no kind/id"),
        (("--data", "amount"), "--data: 'amount' is no name=value"),
        (("--json", "[1]"), "--json must hold a JSON object"),
        (("--json", "{"), "--json holds no JSON"),
        (("--file", "absent.json"), "absent.json cannot be read"),
        (("--json", "{}", "--data", "a=1"), "not by two of them"),
        (("--wait", "--timeout", "soon"), "--timeout: 'soon' is no length of time"),
    ],
)
async def test_a_wrong_command_line_emits_nothing(
    ask: Ask, idle_pulse: PulseTest, arguments: tuple[str, ...], says: str
) -> None:
    await idle_pulse.define("order.paid")
    told = await ask("emit", "order.paid", *arguments)
    assert (told.stdout, told.status) == ("", 2)
    assert says in told.stderr
    assert not (await idle_pulse.engine.list_runs()).items


async def test_a_signal_needs_a_tenant(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULSE_TENANT")
    told = await ask("emit", "order.paid")
    assert told.status == 2
    assert "--tenant, or PULSE_TENANT" in told.stderr


async def test_a_key_with_other_content_is_a_conflict(ask: Ask) -> None:
    first = await ask("emit", "order.paid", "--key", "k", "--data", "a=1")
    again = await ask("emit", "order.paid", "--key", "k", "--data", "a=1")
    other = await ask("emit", "order.paid", "--key", "k", "--data", "a=2")
    assert first.stdout.split()[0] == again.stdout.split()[0]
    assert "the signal of an earlier emit" in again.stdout
    assert (other.stdout, other.status) == ("", 5)


async def test_a_signal_is_shown_and_run_again(ask: Ask, pulse: PulseTest) -> None:
    charge = pulse.action("charge")
    await pulse.define("order.paid", "charge")
    run = await pulse.emit_and_wait("order.paid", {"amount": 5})

    shown = await ask("signals", "show", run.trigger_id)
    assert f"Signal   {run.trigger_id}\n" in shown.stdout
    assert '  "amount": 5\n' in shown.stdout
    assert f"✓ completed  {run.id}  On order.paid" in shown.lines
    as_json = await ask("signals", "show", run.trigger_id, "-o", "json")
    assert json.loads(as_json.stdout)["payload"] == {"amount": 5}

    replay = ("signals", "replay", run.trigger_id, "--dry-run", "--key", "again")
    replayed = await ask(*replay)
    (line,) = replayed.lines[1:]
    assert "(dry run)" in line
    again = await ask(
        "signals", "replay", run.trigger_id, "--dry-run", "--key", "again", "-ojsonl"
    )
    assert json.loads(again.stdout)["id"] in line
    assert charge.call_count == 1


async def test_an_unknown_signal_is_not_found_and_neither_is_another_tenants(ask: Ask) -> None:
    foreign = json.loads((await ask("emit", "x", "--tenant", "tenant-b", "-o", "json")).stdout)
    for command in ("show", "replay"):
        told = [await ask("signals", command, each) for each in (foreign["id"], NOBODY)]
        assert [(each.stdout, each.status) for each in told] == [("", 4)] * 2
        assert told[0].stderr.replace(foreign["id"], NOBODY) == told[1].stderr


async def test_signals_are_listed_newest_first(ask: Ask, pulse: PulseTest) -> None:
    pulse.action("charge")
    await pulse.define("order.paid", "charge")
    run = await pulse.emit_and_wait("order.paid")
    alone = await pulse.engine.emit(
        {"tenantId": TENANT, "source": "test", "type": "order.paid", "resourceId": "o-1"}
    )
    assert alone.run_ids

    told = await ask("signals", "list", "--type", "order.paid")
    assert [line.split()[0] for line in told.lines] == ["SIGNAL", alone.id, run.trigger_id]
    only = await ask("signals", "list", "--resource", "o-1", "--matched", "-ojson")
    assert [each["id"] for each in json.loads(only.stdout)["items"]] == [alone.id]
    assert (await ask("signals", "list", "--no-matched")).stdout == ""
    await pulse.engine.wait_for_run(alone.run_ids[0])


async def test_a_signal_is_explained_before_and_after_it_was_sent(
    ask: Ask, idle_pulse: PulseTest
) -> None:
    await idle_pulse.define("order.paid")
    await idle_pulse.define("order.paid", name="Shops", resource_type_filter="shop")

    before = await ask("match", "order.paid", "--resource", "order/o-1")
    assert before.lines[0] == "1 run would start"
    assert re.match("  ✓  On order.paid  ", before.lines[1])
    assert re.match('  ✗  Shops .*"shop".*"order"', before.lines[2])
    assert not (await idle_pulse.engine.list_runs()).items

    sent = await ask("emit", "order.paid", "--resource", "order/o-1", "--explain")
    assert sent.lines[2:] != []
    assert any(re.match('  ✗  Shops .*"shop"', line) for line in sent.lines)
    after = await ask("signals", "explain", sent.lines[0].split()[0], "-ojson")
    verdicts = [each["verdict"] for each in json.loads(after.stdout)["verdicts"]]
    assert verdicts == ["matched", "resource_type"]
