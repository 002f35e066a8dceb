"""``pulse definitions`` and ``pulse crons``."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from pulse_temporal.testing import action, delay, parallel
from tests.cli.conftest import Ask
from tests.harness import TENANT, PulseTest

NOBODY = "wfd_00000000000070008000000000000000"


async def test_definitions_are_listed_by_both_names(ask: Ask, idle_pulse: PulseTest) -> None:
    first = await idle_pulse.define("order.paid", key="receipt")
    second = await idle_pulse.define("order.sent", is_enabled=False)

    for name in ("definitions", "workflows"):
        told = await ask(name, "list")
        head, top, below = told.lines
        assert head.split()[:3] == ["STATE", "DEFINITION", "NAME"]
        assert top.startswith(f"\N{EN DASH} disabled  {second.id}  On order.sent  order.sent")
        assert below.startswith(f"✓ enabled   {first.id}  On order.paid  order.paid  receipt")
    only = await ask("definitions", "list", "--no-enabled", "-ojsonl")
    assert json.loads(only.stdout)["id"] == second.id
    typed = await ask("definitions", "list", "--type", "order.paid", "-ojson")
    assert [each["id"] for each in json.loads(typed.stdout)["items"]] == [first.id]


async def test_a_definition_is_shown_with_its_steps(ask: Ask, pulse: PulseTest) -> None:
    for name in ("charge", "mail", "text"):
        pulse.action(name)
    steps = [
        action("charge", retryPolicy={"maxAttempts": 3, "backoffMs": 100}),
        parallel("tell", ["mail"], ["text", delay("rest", 1000)]),
    ]
    stored = await pulse.define("order.paid", *steps, config={"severity": "high"})

    told = await ask("definitions", "show", stored.id)

    assert f"Definition  {stored.id}\n" in told.stdout
    assert "0       ▷ charge  at most 3 attempts" in told.lines
    assert "1/b1/1    ◷ rest  1000 ms" in told.lines
    assert '  "severity": "high"' in told.lines
    shown = json.loads((await ask("definitions", "show", stored.id, "-ojson")).stdout)
    assert shown["triggerType"] == "order.paid"


async def test_definitions_are_disabled_enabled_and_deleted(
    ask: Ask, idle_pulse: PulseTest
) -> None:
    first = await idle_pulse.define("order.paid")
    second = await idle_pulse.define("order.sent")

    off = await ask("definitions", "disable", first.id, second.id, "--yes")
    assert off.lines == [f"✓ {first.id} disabled", f"✓ {second.id} disabled"]
    on = await ask("definitions", "enable", first.id)
    assert on.lines == [f"✓ {first.id} enabled"]

    unsure = await ask("definitions", "delete", second.id)
    assert (unsure.stdout, unsure.status) == ("", 2)
    assert f"Delete {second.id}? Nobody can be asked here: say --yes." in unsure.stderr
    no = await ask("definitions", "delete", second.id, stdin="n\n", columns=80)
    assert no.status == 2
    assert "Nothing was done." in no.stderr
    yes = await ask("definitions", "delete", second.id, stdin="y\n", columns=80)
    assert yes.status == 0
    gone = await ask("definitions", "delete", second.id, "--yes")
    assert gone.status == 4
    left = await idle_pulse.engine.list_workflows(tenant_id=TENANT)
    assert [(each.id, each.is_enabled) for each in left] == [(first.id, True)]


async def test_another_tenants_definition_is_unknown(ask: Ask, idle_pulse: PulseTest) -> None:
    foreign = await idle_pulse.define("order.paid", tenant_id="tenant-b")
    for command in ("show", "enable", "disable", "delete"):
        told = [await ask("definitions", command, each, "--yes") for each in (foreign.id, NOBODY)]
        assert [(each.stdout, each.status) for each in told] == [("", 4)] * 2, command
        assert told[0].stderr.replace(foreign.id, NOBODY) == told[1].stderr
    assert await idle_pulse.engine.get_workflow(foreign.id) == foreign


async def test_names_cannot_command_the_terminal(ask: Ask, idle_pulse: PulseTest) -> None:
    await idle_pulse.define("order.paid", name="right\u202eleft", description="one\n\x1b[2Jtwo")
    (stored,) = await idle_pulse.engine.list_workflows()
    for arguments in (("list",), ("show", stored.id), ("list", "-ojson")):
        told = await ask("definitions", *arguments)
        assert not {"\u202e", "\x1b"} & set(told.stdout)


async def test_crons_are_listed_soonest_first(ask: Ask, idle_pulse: PulseTest) -> None:
    yearly = await idle_pulse.define("a", cron_expression="0 0 1 1 *", timezone="Europe/Paris")
    hourly = await idle_pulse.define("b", cron_expression="@hourly")
    off = await idle_pulse.define("c", cron_expression="@hourly", is_enabled=False)
    await idle_pulse.define("d")

    told = await ask("crons", "list")
    assert [line.split()[2] for line in told.lines[1:]] == [hourly.id, yearly.id, off.id]
    items = json.loads((await ask("crons", "list", "-ojson")).stdout)
    assert [item["timezone"] for item in items] == ["UTC", "Europe/Paris", "UTC"]
    assert items[2]["nextAt"] is None


async def test_next_times_of_a_definition_and_of_an_expression(
    ask: Ask, idle_pulse: PulseTest
) -> None:
    stored = await idle_pulse.define("a", cron_expression="30 2 * * *", timezone="Asia/Tokyo")

    by_id = json.loads((await ask("crons", "next", stored.id, "-n", "3", "-ojson")).stdout)
    by_text = await ask(
        "crons", "next", "30 2 * * *", "--zone", "Asia/Tokyo", "-n", "3", "-ojsonl"
    )
    assert [json.loads(line) for line in by_text.lines] == by_id
    assert all(datetime.fromisoformat(time).strftime("%H:%M") == "17:30" for time in by_id)
    table = await ask("crons", "next", stored.id, "-n", "2", "--utc")
    assert [line.split()[2:5] for line in table.lines[1:]] == [["02:30", "JST", "17:30"]] * 2


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("30 2 * *",), 1, "must have five fields"),
        (("@daily", "--zone", "Mars/Olympus"), 1, "Mars/Olympus"),
        ((NOBODY,), 4, "There is no workflow definition"),
        ((NOBODY, "--zone", "UTC"), 2, "--zone is for expressions"),
        (("@daily", "-n", "0"), 2, "Must be >= 1"),
    ],
)
async def test_next_times_of_nothing(
    ask: Ask, arguments: tuple[str, ...], status: int, says: str
) -> None:
    told = await ask("crons", "next", *arguments)
    assert (told.stdout, told.status) == ("", status)
    assert says in told.stderr
