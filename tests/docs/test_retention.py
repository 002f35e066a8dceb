"""The recipe that drops what is over takes its locks in the order of the house."""

from __future__ import annotations

import asyncio

import asyncpg

from tests.docs.pages import ROOT, blocks_of
from tests.harness import PulseTest, eventually

PAGE = ROOT / "docs" / "operate" / "postgres.md"
WAITS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock')"


def recipe() -> str:
    """Return the recipe as the page says it, for failed runs of any age."""
    (text,) = [b.text for b in blocks_of(PAGE) if "FOREACH wanted" in b.text]
    for said, wanted in {
        "ARRAY['completed', 'canceled']": "ARRAY['completed', 'canceled', 'failed']",
        "interval '90 days'": "interval '0 days'",
    }.items():
        assert said in text
        text = text.replace(said, wanted)
    return text


async def test_failed_runs_are_dropped(pulse: PulseTest, connection: asyncpg.Connection) -> None:
    pulse.action("pay", fails=9)
    await pulse.define("order.paid", "pay")
    run = await pulse.emit_and_wait("order.paid")
    assert run.status == "failed"

    await connection.execute(recipe())

    assert await pulse.engine.get_run(run.id) is None
    assert await connection.fetchval("SELECT count(*) FROM pulse_run_control") == 0


async def test_a_run_that_is_retried_meanwhile_stays(
    pulse: PulseTest, connection: asyncpg.Connection, database: str
) -> None:
    """A retry locks the control row, and then the run."""
    pulse.action("pay", fails=9)
    await pulse.define("order.paid", "pay")
    run = await pulse.emit_and_wait("order.paid")
    dropping = await asyncpg.connect(database)
    pid = dropping.get_server_pid()
    async with connection.transaction():
        await connection.execute("SELECT FROM pulse_run_control FOR NO KEY UPDATE")
        dropped = asyncio.ensure_future(dropping.execute(recipe()))
        watching = await asyncpg.connect(database)
        await eventually(lambda: watching.fetchval(WAITS, pid))
        await connection.execute("UPDATE pulse_workflow_runs SET status = 'running'")
    await dropped
    await watching.close()
    await dropping.close()

    assert await pulse.engine.get_run(run.id) is not None
    await connection.execute("UPDATE pulse_workflow_runs SET status = 'failed'")
