"""Loops end visibly, and crowds get through."""

from __future__ import annotations

from pulse_temporal import RunFilter, WorkflowContext
from tests.harness import SOURCE, PulseTest, eventually

CROWD = 50


async def test_a_workflow_that_starts_itself_stops_and_says_so(poisoned: PulseTest) -> None:
    """Sixteen signals follow the first one; the step that emits the next one fails."""

    @poisoned.engine.action("again")
    async def again(ctx: WorkflowContext) -> None:
        await ctx.emit({"type": "loop", "source": SOURCE, "payload": ctx.trigger.payload})

    await poisoned.define("loop", "again", tenant_id="looping")
    await poisoned.emit("loop", {"v": "x" * 10_000}, tenant_id="looping")

    async def failed() -> list[str]:
        page = await poisoned.engine.get_failed_runs(tenant_id="looping")
        return [run.error_message or "" for run in page.items]

    (message,) = await eventually(failed)
    assert "is number 17 in a chain of signals" in message
    assert "at most 16 are accepted" in message
    runs = (await poisoned.engine.list_runs(RunFilter(tenant_id="looping"))).items
    assert len(runs) == 17


async def test_a_signal_that_starts_a_crowd_starts_all_of_it(poisoned: PulseTest) -> None:
    act = poisoned.action("crowded")
    for _ in range(CROWD):
        await poisoned.define("crowd", "crowded")

    trigger = await poisoned.emit("crowd")

    assert len(trigger.run_ids) == CROWD
    for run_id in trigger.run_ids:
        run = await poisoned.engine.wait_for_run(run_id, timeout=60)
        assert run.status == "completed"
    assert act.call_count == CROWD
