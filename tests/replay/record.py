"""Record one history for each kind of step and situation, for the replay tests.

    python -m tests.replay.record [NAME ...]

Starts its own servers, runs the scenarios below and writes ``histories/NAME.jsonl``, without
anything that tells of the machine. Record when a scenario is new, or when a release changes the
commands on purpose; then keep the old file under a name that says until when it held
(``waits.until-1.2.jsonl``), because runs of that time may still be open somewhere.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import JsonValue, TypeAdapter
from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes
from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    WorkflowFailureError,
    WorkflowHistory,
)
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from pulse_temporal import create_engine
from pulse_temporal.contract import schedule_id
from pulse_temporal.embedded import embedded_postgres
from pulse_temporal.embedded.binaries import find_temporal
from pulse_temporal.testing import action, condition, delay, parallel
from tests.harness import PulseTest, eventually
from tests.temporal_operator import Operator

HISTORIES = Path(__file__).with_name("histories")
LONG = 60
"""Events after which the server suggests a new execution; usually there are 4 096."""

SERVER_FLAGS = [
    "--dynamic-config-value",
    f"limit.historyCount.suggestContinueAsNew={LONG}",
]
SHORT = 1_000
"""A declared timeout that makes a step a local activity."""

SCRUBBED = {"identity", "prevAutoResetPoints", "stackTrace", "workerVersion"}
"""Fields that tell of the machine or of this build, and that replay does not look at."""

parse = TypeAdapter(dict[str, JsonValue]).validate_json


async def queued_action(pulse: PulseTest) -> list[str]:
    """Two actions through the task queue."""
    pulse.action("charge", returns={"amount": 12})
    await pulse.define("recorded", "charge", action("charge_again", uses="charge"))
    return [await finished(pulse, "completed")]


async def short_steps(pulse: PulseTest) -> list[str]:
    """An action and a condition as local activities."""
    pulse.action("note")
    pulse.condition("is_due")
    steps = condition("is_due", timeoutMs=SHORT), action("note", timeoutMs=SHORT)
    await pulse.define("recorded", *steps)
    return [await finished(pulse, "completed")]


async def retries(pulse: PulseTest) -> list[str]:
    """A queued and a short action that succeed at their second attempt."""
    policy = {"maxAttempts": 3, "backoffMs": 100}
    pulse.action("flaky", fails=1)
    pulse.action("flaky_too", fails=1)
    await pulse.define(
        "recorded",
        action("flaky", retryPolicy=policy),
        action("flaky_too", retryPolicy=policy, timeoutMs=SHORT),
    )
    return [await finished(pulse, "completed")]


async def skips(pulse: PulseTest) -> list[str]:
    """False conditions: skip one step, skip two, and complete."""
    pulse.condition("no", returns=False)
    pulse.action("act")
    await pulse.define(
        "recorded",
        condition("skip_one", uses="no", onFalse="skip"),
        action("skipped", uses="act"),
        condition("skip_two", uses="no", onFalse=2, timeoutMs=SHORT),
        action("skipped_too", uses="act"),
        delay("skipped_delay", 1_000),
        action("done", uses="act"),
        condition("stop", uses="no", onFalse="complete"),
        action("never", uses="act"),
    )
    return [await finished(pulse, "completed")]


async def waits(pulse: PulseTest) -> list[str]:
    """A delay between two actions."""
    pulse.action("act")
    await pulse.define("recorded", "act", delay("pause", 100), action("after", uses="act"))
    return [await finished(pulse, "completed")]


async def branches(pulse: PulseTest) -> list[str]:
    """A block of two branches, one of them with a delay and a block of its own."""
    pulse.action("act")
    inner = parallel("inner", [action("a", uses="act")], [action("b", uses="act")])
    right = [delay("pause", 100), inner, action("c", uses="act", timeoutMs=SHORT)]
    await pulse.define("recorded", parallel("outer", ["act"], right), action("z", uses="act"))
    run_id = await finished(pulse, "completed")
    paths = ("", "/0/b0", "/0/b1", "/0/b1/1/b0", "/0/b1/1/b1")
    return [f"{run_id}{path}" for path in paths]


async def branch_fails(pulse: PulseTest) -> list[str]:
    """A block of which one branch fails."""
    pulse.action("good")
    pulse.action("bad", fails=9)
    await pulse.define("recorded", parallel("both", ["good"], ["bad"]))
    run_id = await finished(pulse, "failed")
    return [run_id, f"{run_id}/0/b1"]


async def run_fails(pulse: PulseTest) -> list[str]:
    """An action that uses its attempts up."""
    pulse.action("bad", fails=9)
    await pulse.define("recorded", action("bad", retryPolicy={"maxAttempts": 2, "backoffMs": 100}))
    return [await finished(pulse, "failed")]


async def retried_run(pulse: PulseTest) -> list[str]:
    """A failed run that is retried: its second generation begins in the middle."""
    pulse.action("good")
    pulse.action("bad", fails=1)
    pulse.action("fine")
    await pulse.define("recorded", "good", parallel("both", ["bad"], ["fine"]))
    run_id = await finished(pulse, "failed")
    await pulse.engine.retry_run(run_id)
    await settled(pulse, run_id, "completed")
    return [f"{run_id}:2", f"{run_id}:2/1/b0"]


async def canceled_in_action(pulse: PulseTest) -> list[str]:
    """A run that is canceled while its action runs."""
    gate = pulse.gate("gate")
    await pulse.define("recorded", "gate", action("never", uses="gate"))
    (run_id,) = (await pulse.emit("recorded")).run_ids
    await gate.reached()
    await pulse.engine.cancel_run(run_id, "for the record")
    return [await closed(pulse, run_id)]


async def canceled_in_branches(pulse: PulseTest) -> list[str]:
    """A run that is canceled while its branches wait."""
    waiting = [[delay("left", 60_000)], [delay("right", 60_000)]]
    await pulse.define("recorded", parallel("both", *waiting))
    (run_id,) = (await pulse.emit("recorded")).run_ids
    await pulse.wait_for_status(run_id, "waiting")
    await pulse.engine.cancel_run(run_id, "for the record")
    return [await closed(pulse, run_id), await closed(pulse, f"{run_id}/0/b0")]


async def long_run(pulse: PulseTest) -> list[str]:
    """A run whose history grows too long: it goes on in a new execution."""
    pulse.action("act")
    steps = [action(f"step{n}", uses="act") for n in range(LONG // 5)]
    await pulse.define("recorded", *steps)
    return [await finished(pulse, "completed")]


async def reset_with_open_branches(pulse: PulseTest) -> list[str]:
    """A reset that finds the branches of the execution before still open."""
    left, right = pulse.gate("left"), pulse.gate("right")
    await pulse.define("recorded", parallel("both", ["left"], ["right"]))
    (run_id,) = (await pulse.emit("recorded")).run_ids
    await left.reached()
    await right.reached()
    await (await operator_of(pulse)).reset(run_id, to=0)

    async def restarted() -> bool:
        return len(left.calls) > 1 and len(right.calls) > 1

    await eventually(restarted)
    left.open()
    right.open()
    return [await settled(pulse, run_id, "completed"), f"{run_id}/0/b0"]


async def reset_of_a_canceled_run(pulse: PulseTest) -> list[str]:
    """A reset of a run that is canceled: it waits for Temporal's cancel."""
    gate = pulse.gate("gate")
    await pulse.define("recorded", "gate")
    (run_id,) = (await pulse.emit("recorded")).run_ids
    await gate.reached()
    await pulse.engine.cancel_run(run_id, "for the record")
    await closed(pulse, run_id)
    await (await operator_of(pulse)).reset(run_id, to=0)
    return [await closed(pulse, run_id)]


async def branch_terminated(pulse: PulseTest) -> list[str]:
    """A block of which one branch is terminated in Temporal."""
    gate = pulse.gate("gate")
    pulse.action("good")
    await pulse.define("recorded", parallel("both", ["gate"], ["good"]))
    (run_id,) = (await pulse.emit("recorded")).run_ids
    await gate.reached()
    await (await operator_of(pulse)).terminate(f"{run_id}/0/b0")
    return [await settled(pulse, run_id, "failed")]


async def short_then_queued(pulse: PulseTest) -> list[str]:
    """A short action whose handler its worker has forgotten: it goes on in the queue."""
    gate = pulse.gate("gate")
    pulse.action("note")
    await pulse.define("recorded", "gate", action("note", timeoutMs=SHORT))
    (run_id,) = (await pulse.emit("recorded")).run_ids
    await gate.reached()
    forgotten = pulse.engine.registry.actions.pop("note")
    gate.open()

    async def blocked() -> bool:
        return (await pulse.steps(run_id))["1"].blocked_reason is not None

    await eventually(blocked)
    pulse.engine.registry.actions["note"] = forgotten
    return [await settled(pulse, run_id, "completed")]


async def operator_of(pulse: PulseTest) -> Operator:
    """Return somebody with the Temporal CLI."""
    return Operator(await Client.connect(pulse.temporal_address))


async def cron_tick(pulse: PulseTest) -> list[str]:
    """A tick of a definition's cron."""
    pulse.action("clean")
    definition = await pulse.define("recorded", "clean", cronExpression="0 2 * * *")
    client = await Client.connect(pulse.temporal_address)
    queue_prefix = pulse.engine.options.queue_prefix
    schedule = client.get_schedule_handle(schedule_id(queue_prefix, definition.id))

    async def ticked() -> str | None:
        with suppress(RPCError):  # it is made in the background
            description = await schedule.describe()
            if not description.info.num_actions:
                await schedule.trigger()
            for action in description.info.recent_actions:
                if isinstance(action.action, ScheduleActionExecutionStartWorkflow):
                    return action.action.workflow_id
        return None

    return [await closed(pulse, await eventually(ticked))]


Scenario = Callable[[PulseTest], Awaitable[list[str]]]
SCENARIOS: Mapping[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        queued_action,
        short_steps,
        retries,
        skips,
        waits,
        branches,
        branch_fails,
        run_fails,
        retried_run,
        canceled_in_action,
        canceled_in_branches,
        long_run,
        reset_with_open_branches,
        reset_of_a_canceled_run,
        branch_terminated,
        short_then_queued,
        cron_tick,
    )
}


async def finished(pulse: PulseTest, status: str) -> str:
    """Emit the recorded signal, wait for its run's end and give its id."""
    (run_id,) = (await pulse.emit("recorded")).run_ids
    return await settled(pulse, run_id, status)


async def settled(pulse: PulseTest, run_id: str, status: str) -> str:
    """Wait until a run is over in Postgres and in Temporal."""
    run = await pulse.engine.wait_for_run(run_id)
    assert run.status == status, (run.status, run.error_message)
    suffix = f":{run.generation}" if run.generation > 1 else ""
    await closed(pulse, f"{run_id}{suffix}")
    return run_id


async def closed(pulse: PulseTest, workflow_id: str) -> str:
    """Wait until a workflow is closed, however it ends."""
    with suppress(WorkflowFailureError):
        await (await pulse.workflow(workflow_id)).result()
    return workflow_id


async def chain(client: Client, workflow_id: str) -> list[WorkflowHistory]:
    """Return the histories of a workflow's executions, the latest first."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    found = [history]
    while before := started(history).continued_execution_run_id:
        handle = client.get_workflow_handle(workflow_id, run_id=before)
        found.append(history := await handle.fetch_history())
    return found


def started(history: WorkflowHistory) -> WorkflowExecutionStartedEventAttributes:
    """Return the attributes of a history's first event."""
    return history.events[0].workflow_execution_started_event_attributes


def scrubbed(value: JsonValue) -> JsonValue:
    """Take out of a history what tells of the machine that made it."""
    if isinstance(value, list):
        return [scrubbed(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: scrubbed(item) for key, item in value.items() if key not in SCRUBBED}
    if kept.get("kind") == "TASK_QUEUE_KIND_STICKY":
        kept["name"] = "sticky"  # it was made of the host's name
    return kept


async def record(name: str, *, dsn: str, client: Client) -> None:
    """Run one scenario and write the histories of its workflows into one file."""
    address = client.service_client.config.target_host
    engine = create_engine(dsn, client, table_prefix=f"{name}_", queue_prefix="recorded")
    await engine.migrate()
    async with engine:
        pulse = PulseTest(engine, dsn=dsn, temporal_address=address)
        workflow_ids = await SCENARIOS[name](pulse)
    histories = [
        history for workflow_id in workflow_ids for history in await chain(client, workflow_id)
    ]
    HISTORIES.mkdir(exist_ok=True)
    (HISTORIES / f"{name}.jsonl").write_text("".join(map(lines, histories)), encoding="utf-8")


def lines(history: WorkflowHistory) -> str:
    """Write a history: a line that names its workflow, then one line for each event."""
    events = parse(history.to_json())["events"]
    assert isinstance(events, list)
    values = [{"workflowId": history.workflow_id}, *(scrubbed(event) for event in events)]
    return "".join(f"{json.dumps(value, sort_keys=True)}\n" for value in values)


async def main(names: Sequence[str]) -> None:
    """Record the scenarios named, or all of them."""
    with tempfile.TemporaryDirectory(prefix="pulse-record-") as folder:
        async with (
            embedded_postgres(folder, durable=False) as postgres,
            await WorkflowEnvironment.start_local(  # pyright: ignore[reportUnknownMemberType] - an untyped default of the SDK
                data_converter=pydantic_data_converter,
                dev_server_existing_path=str(find_temporal()),
                dev_server_extra_args=SERVER_FLAGS,
            ) as server,
        ):
            for name in names or SCENARIOS:
                await record(name, dsn=postgres.dsn, client=server.client)
                sys.stdout.write(f"recorded {name}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
