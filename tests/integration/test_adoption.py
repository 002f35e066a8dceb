"""A database of the TypeScript Pulse is adopted: its rows can be read, its definitions run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest

from pulse_temporal import RunTransitionError
from pulse_temporal.embedded import EmbeddedServices
from tests.harness import PulseTest, checked_invariants, make_pulse

TYPESCRIPT_PULSE = Path(__file__).with_name("typescript_pulse.sql")


@pytest.fixture
async def adopted(servers: EmbeddedServices, empty_database: str) -> AsyncGenerator[PulseTest]:
    """Yield an engine on a database that the TypeScript Pulse has left."""
    opened = await asyncpg.connect(empty_database)
    await opened.execute(TYPESCRIPT_PULSE.read_text(encoding="utf-8"))
    await opened.close()
    pulse = make_pulse(empty_database, servers.temporal_address)
    await pulse.engine.migrate()
    async with checked_invariants(empty_database):
        yield pulse
        await pulse.engine.stop()


async def test_adopted_rows_can_be_read(adopted: PulseTest) -> None:
    """Triggers, definitions, runs and logs come back as models."""
    trigger = await adopted.engine.get_trigger("trg_1")
    assert trigger is not None
    assert (trigger.payload, trigger.run_ids) == ({"amount": 12}, ("run_1",))
    empty = await adopted.engine.get_trigger("trg_2")
    assert empty is not None
    assert empty.payload == {}
    definition = await adopted.engine.get_workflow("wfd_1")
    assert definition is not None
    assert [step.name for step in definition.steps] == ["remind", "notify"]
    run = await adopted.engine.get_run("run_1")
    assert run is not None
    assert (run.status, run.context) == ("completed", {"remind": {"sent": True}})
    assert run.definition_snapshot.name == "Dunning"
    (line,) = await adopted.engine.get_run_logs("run_1")
    assert (line.message, line.data) == ("Reminder sent", {"to": "a"})


async def test_adopted_steps_have_paths_and_adopted_runs_a_timeline(adopted: PulseTest) -> None:
    """The tree of steps and the order of events follow from the columns that there were."""
    steps = await adopted.steps("run_1")
    assert {path: step.step_name for path, step in steps.items()} == {
        "0": "remind",
        "1": "notify",
        "1/b0/0": "mail",
        "1/b1/0": "sms",
    }
    assert await adopted.timeline("run_1") == [
        "run_created",
        "step_started remind",
        "log remind",
        "step_completed remind",
        "step_started notify",
        "step_started mail",
        "step_skipped sms",
        "step_completed mail",
        "step_completed notify",
        "run_completed",
    ]


async def test_adopted_definitions_start_new_runs(adopted: PulseTest) -> None:
    """A definition that can be read runs as if it were created here; another one never matches."""
    for name in ("remind", "mail", "sms"):
        adopted.action(name)
    adopted.engine.register_trigger("invoice.due", source="billing")
    await adopted.engine.start()
    trigger = await adopted.engine.emit(
        {"tenantId": "workspace_1", "source": "billing", "type": "invoice.due"}
    )
    (run_id,) = trigger.run_ids
    run = await adopted.engine.wait_for_run(run_id)
    assert (run.status, run.definition_id) == ("completed", "wfd_1")


async def test_adopted_open_runs_are_left_alone(adopted: PulseTest) -> None:
    """Nobody goes on with a run of the other engine behind its back."""
    await adopted.engine.start()
    with pytest.raises(RunTransitionError, match="TypeScript"):
        await adopted.engine.cancel_run("run_2")
    run = await adopted.engine.get_run("run_2")
    assert run is not None
    assert run.status == "waiting"


async def test_migrating_again_changes_nothing(adopted: PulseTest) -> None:
    """Adoption happens once."""
    before = await adopted.timeline("run_1")
    assert await adopted.engine.migrate() == []
    assert await adopted.timeline("run_1") == before


async def test_adopted_rows_are_in_lists_and_on_pages(adopted: PulseTest) -> None:
    """Many of their moments are absent, and they have neither attempts nor versions."""
    waiting, done = await adopted.engine.list_run_summaries(tenant_id="workspace_1")
    assert [(run.id, run.status) for run in (waiting, done)] == [
        ("run_2", "waiting"),
        ("run_1", "completed"),
    ]
    assert (done.definition_name, done.signal_type, done.resource_id) == (
        *("Dunning", "invoice.due", "inv-7"),
    )
    assert (done.queued_ms, done.duration_ms) == (1_000, 8_000)
    counts = await adopted.engine.count_runs(tenant_id="workspace_1")
    assert (counts.waiting.count, counts.completed.count) == (1, 1)
    view = await adopted.engine.get_run_view("run_1")
    assert view is not None
    assert [notice.kind for notice in view.notices] == ["foreign"]
    assert (view.task_queue, view.temporal.run_id, view.run.definition_version) == (None,) * 3
    bars = {step.path: [bar.kind for bar in step.segments] for step in view.steps}
    assert bars == {"0": ["ok"], "1": ["block"], "1/b0/0": ["ok"], "1/b1/0": []}
    step = await adopted.engine.get_step("run_1", "0")
    assert (step.chosen, step.attempts) == (None, ())
    assert [line.message for line in step.logs] == ["Reminder sent"]
    signals = await adopted.engine.list_signals(tenant_id="workspace_1")
    assert [(signal.id, signal.runs) for signal in signals] == [("trg_2", 1), ("trg_1", 1)]
    assert (await adopted.engine.signal_chain("trg_1")).nodes == 2
    (tenant,) = await adopted.engine.list_tenants()
    assert (tenant.id, tenant.open.count) == ("workspace_1", 1)
