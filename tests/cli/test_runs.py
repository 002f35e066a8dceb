"""``pulse runs`` on real runs: tables, JSON, exit codes."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from rich.text import Text

from pulse_temporal import WorkflowContext, WorkflowRun
from pulse_temporal.testing import action, delay
from tests.cli.conftest import Ask
from tests.harness import PulseTest, eventually

HOUR = 3_600_000
NOBODY = "run_00000000000070008000000000000000"


class Runs(NamedTuple):
    """A run that completed and one that failed."""

    completed: WorkflowRun
    failed: WorkflowRun


async def two_runs(pulse: PulseTest) -> Runs:
    pulse.action("charge")
    pulse.action("receipt", fails=1)
    await pulse.define("order.paid", "charge")
    await pulse.define("order.sent", "charge", "receipt")
    return Runs(await pulse.emit_and_wait("order.paid"), await pulse.emit_and_wait("order.sent"))


async def waiting_run(pulse: PulseTest) -> str:
    await pulse.define("wait.asked", delay("pause", HOUR))
    (run_id,) = (await pulse.emit("wait.asked")).run_ids
    await pulse.wait_for_status(run_id, "waiting")
    return run_id


async def test_a_list_has_a_line_for_each_run_and_says_how_to_go_on(
    ask: Ask, pulse: PulseTest
) -> None:
    completed, failed = await two_runs(pulse)

    command = await ask("runs", "list")

    head, first, second = command.stdout.splitlines()
    assert head.split() == ["STATUS", "RUN", "DEFINITION", "STEP", "CREATED", "TOOK"]
    assert first.startswith(f"✗ failed     {failed.id}  On order.sent  receipt: ")
    assert "receipt" in first
    assert second.startswith(f"✓ completed  {completed.id}  On order.paid ")
    assert command.stderr == f"2 runs.  Look: pulse runs show {failed.id}\n"
    assert command.status == 0


async def test_a_list_is_narrowed(ask: Ask, pulse: PulseTest) -> None:
    completed, failed = await two_runs(pulse)

    async def ids(*filters: str) -> list[str]:
        told = await ask("runs", "list", *filters, "-ojsonl")
        return [json.loads(line)["id"] for line in told.lines]

    assert await ids("--status", "failed") == [failed.id]
    both = await ids("--status", "failed", "--status", "completed")
    assert both == [failed.id, completed.id]
    assert await ids("--definition", completed.definition_id) == [completed.id]
    assert await ids("--signal", failed.trigger_id) == [failed.id]
    assert await ids("--since", "1h") == [failed.id, completed.id]
    assert await ids("--until", "1h") == []
    assert await ids("--tenant", "tenant-b") == []


async def test_json_is_a_page_and_where_it_goes_on(ask: Ask, pulse: PulseTest) -> None:
    completed, failed = await two_runs(pulse)

    first = json.loads((await ask("runs", "list", "-o", "json", "--limit", "1")).stdout)
    second = json.loads(
        (await ask("runs", "list", "-o", "json", "--cursor", first["nextCursor"])).stdout
    )

    assert [run["id"] for run in first["items"]] == [failed.id]
    assert first["items"][0]["signalType"] == "order.sent"
    assert [run["id"] for run in second["items"]] == [completed.id]
    assert second["nextCursor"] is None


async def test_an_empty_list_prints_nothing_but_what_to_do(ask: Ask) -> None:
    command = await ask("runs", "list")
    assert (command.stdout, command.status) == ("", 0)
    assert command.stderr == "No run. Start one: pulse emit TYPE\n"
    assert (await ask("runs", "list", "--quiet")).stderr == ""


async def test_a_run_is_shown_with_its_steps_and_the_reason(ask: Ask, pulse: PulseTest) -> None:
    failed = (await two_runs(pulse)).failed

    command = await ask("runs", "show", failed.id)

    assert f"Run         {failed.id}\n" in command.stdout
    assert "Status      ✗ failed\n" in command.stdout
    assert re.search(r"^0 +▷ charge +✓ completed", command.stdout, re.MULTILINE)
    assert re.search(r"^1 +▷ receipt +✗ failed .*receipt", command.stdout, re.MULTILINE)
    assert "Traceback" in command.stdout
    assert command.stderr == f"Go on from the failed step: pulse runs retry {failed.id}\n"
    shown = json.loads((await ask("runs", "show", failed.id, "-o", "json")).stdout)
    assert shown["status"] == "failed"


async def test_steps_timeline_and_logs(ask: Ask, pulse: PulseTest) -> None:
    failed = (await two_runs(pulse)).failed

    steps = [json.loads(line) for line in (await ask("runs", "steps", failed.id, "-ojsonl")).lines]
    assert [(step["path"], step["status"]) for step in steps] == [
        ("0", "completed"),
        ("1", "failed"),
    ]
    events = await ask("runs", "timeline", failed.id, "--events")
    assert "✗ receipt" in events.stdout
    assert events.lines[0].endswith("● run created")
    listed = json.loads((await ask("runs", "timeline", failed.id, "-ojson")).stdout)
    assert [entry["type"] for entry in listed][:2] == ["run_created", "step_started"]

    drawn = await ask("runs", "timeline", failed.id)
    axis, charge, receipt, signs = drawn.lines
    assert axis.strip().startswith("0")
    assert charge.startswith("▷ charge  ✓ ")
    assert "█" in charge
    assert receipt.startswith("▷ receipt ✗ ")
    assert "▓" in receipt
    assert "failed" in signs
    narrow = await ask("runs", "timeline", failed.id, columns=60)
    assert max(Text.from_ansi(line).cell_len for line in narrow.lines) <= 60
    assert (await ask("runs", "logs", failed.id)).status == 0


async def test_logs_are_those_of_a_step_and_a_level(ask: Ask, pulse: PulseTest) -> None:
    @pulse.engine.action("talk")
    async def talk(ctx: WorkflowContext) -> None:
        ctx.log("Charged", {"amount": 5})
        ctx.log("Odd", level="warn")

    await pulse.define("order.paid", "talk")
    run = await pulse.emit_and_wait("order.paid")

    everything = await ask("runs", "logs", run.id)
    assert re.search(r"info  talk  Charged  amount=5$", everything.stdout, re.MULTILINE)
    assert "Charged" not in (await ask("runs", "logs", run.id, "--level", "warn")).stdout
    assert "Odd" in (await ask("runs", "logs", run.id, "--step", "talk", "--follow")).stdout
    assert (await ask("runs", "logs", run.id, "--step", "9")).stdout == ""
    (first, _) = json.loads((await ask("runs", "logs", run.id, "-o", "json")).stdout)
    assert (first["message"], first["data"]) == ("Charged", {"amount": 5})


async def test_one_run_is_canceled_with_a_reason(ask: Ask, pulse: PulseTest) -> None:
    run_id = await waiting_run(pulse)

    command = await ask("runs", "cancel", run_id, "--reason", "test is over")

    assert (command.stdout, command.status) == (f"✓ {run_id} canceled\n", 0)
    run = await pulse.engine.get_run(run_id)
    assert run is not None
    assert (run.status, run.cancel_reason) == ("canceled", "test is over")


async def test_several_need_a_yes_and_each_is_told(ask: Ask, pulse: PulseTest) -> None:
    run_id = await waiting_run(pulse)

    refused = await ask("runs", "cancel", run_id, NOBODY)
    assert (refused.stdout, refused.status) == ("", 2)
    assert "Cancel these 2 runs? Nobody can be asked here: say --yes." in refused.stderr

    command = await ask("runs", "cancel", run_id, NOBODY, "--yes")
    assert command.stdout.splitlines()[0] == f"✓ {run_id} canceled"
    assert command.stdout.splitlines()[1].startswith(f"✗ {NOBODY} not canceled: There is no run")
    assert command.status == 4

    again = await ask("runs", "cancel", run_id, NOBODY, "--yes", "-o", "json")
    assert [(each["outcome"], each["code"]) for each in json.loads(again.stdout)] == [
        ("refused", "run_transition"),
        ("refused", "not_found"),
    ]
    assert again.status == 1


async def test_a_failed_run_is_retried_and_watched_to_its_end(ask: Ask, pulse: PulseTest) -> None:
    failed = (await two_runs(pulse)).failed

    assert (await ask("runs", "watch", failed.id)).status == 1
    assert (await ask("runs", "retry", failed.id)).stdout == f"✓ {failed.id} goes on\n"
    watched = await ask("runs", "watch", failed.id)
    assert watched.status == 0
    assert watched.stdout.endswith(f"✓ completed  {failed.id}\n")


async def test_a_run_that_did_not_fail_is_not_retried_but_its_signal_can_run_again(
    ask: Ask, pulse: PulseTest
) -> None:
    completed = (await two_runs(pulse)).completed

    command = await ask("runs", "retry", completed.id)

    assert command.status == 5
    assert command.stderr.startswith(f"Error [run_transition]\n  Run {completed.id} ")
    assert command.stderr.endswith(
        f"To run its signal again: pulse signals replay {completed.trigger_id} --dry-run\n"
    )


async def test_watching_ends_at_its_limit(ask: Ask, pulse: PulseTest) -> None:
    run_id = await waiting_run(pulse)
    command = await ask("runs", "watch", run_id, "--timeout", "100ms")
    assert command.status == 1
    assert f"! Not over yet: {run_id}" in command.stderr
    await pulse.engine.cancel_run(run_id)


async def test_another_tenants_run_is_unknown(ask: Ask, pulse: PulseTest) -> None:
    run = (await two_runs(pulse)).completed
    for command in ("show", "steps", "timeline", "logs", "cancel", "retry", "watch"):
        foreign = await ask("runs", command, run.id, "--tenant", "tenant-b")
        unknown = await ask("runs", command, NOBODY, "--tenant", "tenant-b")
        assert (foreign.stdout, foreign.status) == ("", 4), command
        assert foreign.stderr.replace(run.id, NOBODY) == unknown.stderr


async def test_a_terminal_is_filled_and_not_exceeded(ask: Ask, pulse: PulseTest) -> None:
    await two_runs(pulse)
    wide = (await ask("runs", "list", columns=120)).stdout
    assert max(len(plain(line)) for line in wide.splitlines()) <= 120
    assert "\x1b[" in wide
    bare = (await ask("runs", "list", "--no-color", columns=80)).stdout
    assert "\x1b[3" not in bare


def plain(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line.rstrip("\r"))


async def test_an_id_may_be_shortened_to_what_only_one_run_has(ask: Ask, pulse: PulseTest) -> None:
    completed, failed = await two_runs(pulse)

    assert (await ask("runs", "show", failed.id[:-4], "-ojson")).lines == (
        await ask("runs", "show", failed.id, "-ojson")
    ).lines
    assert (await ask("signals", "show", completed.trigger_id[:-4])).status == 0
    assert (await ask("definitions", "show", completed.definition_id[:-4])).status == 0
    assert (await ask("runs", "retry", failed.id[:-4])).stdout == f"✓ {failed.id} goes on\n"
    await pulse.engine.wait_for_run(failed.id)
    several = await ask("runs", "show", failed.id[:9])
    assert several.status == 2
    assert f"Several begin with {failed.id[:9]}: " in several.stderr
    foreign = await ask("runs", "show", failed.id[:-4], "--tenant", "tenant-b")
    assert foreign.status == 4


async def test_what_is_retried_is_found_by_attention(ask: Ask, pulse: PulseTest) -> None:
    pulse.action("charge", fails=1)
    policy = {"maxAttempts": 3, "backoffMs": 60_000}
    await pulse.define("order.paid", action("charge", retryPolicy=policy))
    trigger = await pulse.emit("order.paid", resource_type="order", resource_id="o-1")
    (run_id,) = trigger.run_ids

    async def told() -> list[str]:
        return (await ask("runs", "list", "--attention", "retrying")).lines

    (_, line) = await eventually(told)
    assert line.startswith(f"↻ retrying 1/3  {run_id}  On order.paid  order/o-1  charge, next 20")
    assert not (await ask("runs", "list", "--attention", "blocked")).lines
    await pulse.engine.cancel_run(run_id)


async def test_failures_workers_and_tenants(ask: Ask, pulse: PulseTest) -> None:
    failed = (await two_runs(pulse)).failed

    failures = await ask("failures", "list", "--since", "1h")
    assert failures.lines[1].split()[:2] == ["1", "On"]
    assert failures.lines[1].endswith(failed.id)
    (group,) = json.loads((await ask("failures", "list", "-ojson")).stdout)
    assert (group["stepName"], group["sampleRunId"]) == ("receipt", failed.id)

    workers = await ask("workers", "list")
    assert workers.lines[1].startswith("✓ live  wrk_")
    tenants = await ask("tenants", "list", "-ojsonl")
    assert json.loads(tenants.stdout)["failed"] == {"count": 1, "isBounded": False}
    assert (await ask("tenants", "list")).lines[1].split()[:4] == ["tenant-a", "2", "2", "1"]


async def test_without_failures_and_workers_it_says_so(ask: Ask) -> None:
    assert (await ask("failures", "list")).stderr == "No run has failed.\n"
    assert "No worker lives" in (await ask("workers", "list")).stderr
    assert (await ask("tenants", "list")).stderr == "No tenant.\n"
