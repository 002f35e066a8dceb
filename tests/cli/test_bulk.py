"""``pulse bulk``: many runs at once, with a preview, progress and exit codes."""

from __future__ import annotations

import json

import pytest

from pulse_temporal import WorkflowRun
from pulse_temporal.testing import delay
from tests.cli.conftest import Ask
from tests.harness import TENANT, PulseTest

NOBODY = "run_00000000000070008000000000000000"


async def failed_runs(pulse: PulseTest, number: int) -> list[WorkflowRun]:
    """Return runs that have failed, and whose action would succeed now."""
    pulse.action("charge", fails=number)
    await pulse.define("order.paid", "charge")
    return [await pulse.emit_and_wait("order.paid") for _ in range(number)]


async def test_failed_runs_are_retried_and_followed_to_the_end(ask: Ask, pulse: PulseTest) -> None:
    runs = await failed_runs(pulse, 3)

    told = await ask(
        *("bulk", "retry", "--definition", runs[0].definition_id, "--reason", "Fixed"),
        *("--name", "After the outage", "--rate", "500", "--yes", "-ojson"),
    )

    assert told.status == 0, told.stderr
    ended = json.loads(told.stdout)
    facts = ("kind", "status", "items", "done", "name", "reason", "rate")
    assert [ended[fact] for fact in facts] == [
        *("retry", "completed", 3, 3, "After the outage", "Fixed", 500.0)
    ]
    assert ended["actor"]["id"].startswith("cli:")
    assert {(await pulse.engine.wait_for_run(run.id)).status for run in runs} == {"completed"}


async def test_a_preview_counts_and_does_nothing(ask: Ask, pulse: PulseTest) -> None:
    runs = await failed_runs(pulse, 1)
    await pulse.emit_and_wait("order.paid")

    told = await ask("bulk", "retry", "--all", "--preview")

    assert told.status == 0
    assert told.lines[:2] == ["Retry 1 run.", "Not 1 that is completed."]
    assert runs[0].id in told.lines[-1]
    assert "Nothing was done." in told.stderr
    assert (await ask("bulk", "list")).stderr == "No bulk operation.\n"
    asked = json.loads((await ask("bulk", "retry", runs[0].id, "--preview", "-ojson")).stdout)
    assert asked["eligible"] == {"count": 1, "isBounded": False}


async def test_what_was_refused_is_told_and_is_the_exit_code(ask: Ask, pulse: PulseTest) -> None:
    (run,) = await failed_runs(pulse, 1)

    told = await ask("bulk", "retry", run.id, NOBODY, "--reason", "Fixed", "--yes")

    assert told.status == 1
    facts = dict(line.split(None, 1) for line in told.lines)
    assert (facts["Runs"], facts["Done"], facts["Failed"]) == ("2", "1", "1")
    (line,) = [line for line in told.stderr.splitlines() if line.startswith("Why: ")]
    assert line == f"Why: pulse bulk items {facts['Operation']} --outcome failed"
    items = await ask(*line.split()[2:])
    assert items.lines[1].startswith(f"✗ failed  {NOBODY}  There is no run")
    again = await ask("bulk", "repeat", facts["Operation"], "-ojsonl")
    assert again.status == 1
    assert json.loads(again.stdout)["repeats"] == facts["Operation"]
    every = await ask("bulk", "list")
    assert [line.split()[1] for line in every.lines[1:]] == ["completed", "completed"]


async def test_one_is_shown_and_aborted(ask: Ask, idle_pulse: PulseTest) -> None:
    """No worker lives, so it stands where it was started."""
    await idle_pulse.define("late", delay("hour", 3_600_000))
    (run_id,) = (await idle_pulse.emit("late")).run_ids

    started = json.loads(
        (
            await ask("bulk", "cancel", run_id, "--reason", "Why", "--detach", "--yes", "-ojson")
        ).stdout
    )
    shown = await ask("bulk", "show", started["id"])
    aborted = await ask("bulk", "abort", started["id"], "--reason", "Wrong one")

    assert started["status"] == "running"
    assert "▶ running" in shown.stdout
    assert f"pulse bulk show {started['id']} --watch" in shown.stderr
    assert "⊘ aborted" in aborted.stdout
    assert (await ask("bulk", "show", started["id"], "--watch")).status == 1
    audit = await ask("audit", "list", "--subject", started["id"], "-ojsonl")
    reasons = [json.loads(line)["reason"] for line in audit.lines]
    assert reasons == ["Wrong one", "Why"]


@pytest.mark.usefixtures("pulse")
async def test_a_completed_one_is_not_aborted(ask: Ask) -> None:
    told = await ask("bulk", "replay", "--all", "--reason", "x", "--yes", "-ojson")
    assert (await ask("bulk", "abort", json.loads(told.stdout)["id"])).status == 5


async def test_what_makes_no_sense_is_refused(ask: Ask, idle_pulse: PulseTest) -> None:
    async def told(*arguments: str) -> tuple[int, str]:
        command = await ask("bulk", *arguments)
        return command.status, command.stderr

    status, text = await told("retry", "--reason", "x", "--yes")
    assert (status, "Which runs?" in text) == (2, True)
    status, text = await told("retry", "run_1", "--all", "--reason", "x", "--yes")
    assert (status, "not both" in text) == (2, True)
    status, text = await told("retry", "--all", "--yes")
    assert (status, "--reason" in text) == (2, True)
    status, text = await told("retry", "--all", "--reason", "x")
    assert (status, "say --yes" in text) == (2, True)
    status, text = await told("retry", "--status", "completed", "--reason", "x", "--yes")
    assert (status, "Only failed runs" in text) == (2, True)
    assert (await told("show", "blk_1"))[0] == 4
    assert (await told("abort", "blk_1"))[0] == 4
    assert not (await idle_pulse.engine.list_bulk(tenant_id=TENANT)).items


async def test_another_tenants_operation_is_like_none(ask: Ask, idle_pulse: PulseTest) -> None:
    theirs = await idle_pulse.engine.start_bulk("replay", filter={}, tenant_id="globex")
    for command in (("show",), ("items",), ("abort",), ("repeat",)):
        told = await ask("bulk", *command, theirs.id)
        assert told.status == 4
        assert told.stdout == ""
