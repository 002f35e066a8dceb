"""A run whose history was cut: what an operator sees of its later executions."""

from __future__ import annotations

from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from pulse_temporal.embedded.binaries import find_temporal
from pulse_temporal.testing import action
from tests.harness import eventually, make_pulse

NAMES = ("Tenant", "Definition", "Trigger")
EVENTS = 30
"""The server suggests a new execution after so many events; usually there are 4 096."""


async def test_a_run_that_continues_as_new_still_says_what_it_is(database: str) -> None:
    """Temporal gives an execution that continues another one no summary of its own."""
    async with await WorkflowEnvironment.start_local(  # pyright: ignore[reportUnknownMemberType] - an untyped default of the SDK
        dev_server_existing_path=str(find_temporal()),
        dev_server_extra_args=[
            "--dynamic-config-value",
            f"limit.historyCount.suggestContinueAsNew={EVENTS}",
            *(f"--search-attribute=Pulse{name}=Keyword" for name in NAMES),
        ],
    ) as environment:
        address = environment.client.service_client.config.target_host
        pulse = make_pulse(database, address)
        pulse.action("act")
        gate = pulse.gate("gate")
        steps = [action(f"a{number}", uses="act") for number in range(12)]
        await pulse.define("t", *steps, "gate")
        async with pulse.engine:
            (run_id,) = (await pulse.emit("t")).run_ids
            await gate.reached()
            client = await Client.connect(address)

            async def details() -> str:
                handle = client.get_workflow_handle(run_id)
                found = await handle.query(
                    "__temporal_workflow_metadata", result_type=WorkflowMetadata
                )
                return found.current_details

            assert await eventually(details) == "On t"
            description = await client.get_workflow_handle(run_id).describe()
            first = description.raw_description.workflow_execution_info.first_run_id
            assert description.run_id != first
            gate.open()
            assert (await pulse.engine.wait_for_run(run_id)).status == "completed"
