"""Tables of the application may refer to runs; nothing waits for such a row's transaction."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from pulse_temporal import WorkflowContext
from pulse_temporal.testing import delay, parallel
from tests.harness import PulseTest

INVOICES = """
CREATE TABLE invoices (run_id text REFERENCES pulse_workflow_runs (id), cents integer);
CREATE TABLE lines (step_run_id text REFERENCES pulse_workflow_step_runs (id), text text);
"""


class Invoice:
    """A transactional action that writes rows referring to its run and step, then waits."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, ctx: WorkflowContext) -> dict[str, object]:
        """Write, say so, and keep the transaction open."""
        assert ctx.connection is not None
        await ctx.connection.execute("INSERT INTO invoices VALUES ($1, 100)", ctx.run.id)
        await ctx.connection.execute("INSERT INTO lines VALUES ($1, 'one')", ctx.step.id)
        self.entered.set()
        await self.opened.wait()
        return {"cents": 100}


@pytest.fixture
async def invoice(idle_pulse: PulseTest, connection: asyncpg.Connection) -> Invoice:
    """Start an engine that knows the action, and make its tables."""
    await connection.execute(INVOICES)
    made = Invoice()
    idle_pulse.engine.register_action("invoice", made, transactional=True)
    await idle_pulse.engine.start()
    return made


async def test_other_branches_go_on_beside_a_row_that_refers_to_the_run(
    idle_pulse: PulseTest, invoice: Invoice, connection: asyncpg.Connection
) -> None:
    pulse = idle_pulse
    pulse.action("note")
    pauses = [delay(f"pause_{n}", 20) for n in range(4)]
    await pulse.define("order.paid", parallel("both", ["invoice"], [*pauses, "note"]))
    (run_id,) = (await pulse.emit("order.paid")).run_ids
    await asyncio.wait_for(invoice.entered.wait(), 10)

    await pulse.wait_for_step(run_id, "0/b1/4", "completed")
    invoice.opened.set()
    run = await pulse.engine.wait_for_run(run_id)

    assert (run.status, run.context["invoice"]) == ("completed", {"cents": 100})
    assert (await pulse.steps(run_id))["0/b0/0"].attempt == 1
    attempts = (
        "SELECT count(*) FROM pulse_step_attempts WHERE run_id = $1 AND status <> 'completed'"
    )
    assert await connection.fetchval(attempts, run_id) == 0
    assert await connection.fetchval("SELECT cents FROM invoices WHERE run_id = $1", run_id) == 100


async def test_a_cancel_does_not_wait_for_a_row_that_refers_to_the_run(
    idle_pulse: PulseTest, invoice: Invoice, connection: asyncpg.Connection
) -> None:
    await idle_pulse.define("order.paid", "invoice")
    (run_id,) = (await idle_pulse.emit("order.paid")).run_ids
    await asyncio.wait_for(invoice.entered.wait(), 10)

    run = await idle_pulse.engine.cancel_run(run_id)
    invoice.opened.set()

    assert run.status == "canceled"
    await idle_pulse.engine.stop()
    assert await connection.fetchval("SELECT count(*) FROM invoices") == 0
