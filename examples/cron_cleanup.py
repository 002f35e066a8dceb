"""A cleanup every night: a definition with a cron expression, and its next times.

Nobody waits for 2 o'clock here: a signal of the same type starts the workflow just as well.
"""

from __future__ import annotations

import asyncio

from pulse_temporal import WorkflowContext, create_engine
from stage import servers, tell

WORKFLOW = {
    "tenantId": "workspace_1",
    "key": "cron-cleanup",
    "name": "Daily cleanup",
    "triggerType": "maintenance.cleanup",
    "steps": [
        {"type": "action", "name": "cleanup_old_records"},
        {"type": "action", "name": "send_cleanup_report"},
    ],
    "cronExpression": "0 2 * * *",
    "timezone": "Europe/Paris",
}


async def cleanup_old_records(ctx: WorkflowContext) -> dict[str, object]:
    """Remove what is old; the clock's own signals say which time was meant."""
    meant = ctx.trigger.payload.get("scheduledAt", "now")
    ctx.log(f"Cleaning up for {meant}")
    return {"removed": 42}


async def send_cleanup_report(ctx: WorkflowContext) -> None:
    """Tell somebody what was removed."""
    ctx.log(f"Report: {ctx.run.context['cleanup_old_records']}")


async def main() -> None:
    """Store the definition, show when it will run, and run it once by hand."""
    async with servers() as (dsn, address):
        engine = create_engine(dsn, address)
        engine.register_action("cleanup_old_records", cleanup_old_records, replay_safe=True)
        engine.register_action("send_cleanup_report", send_cleanup_report)
        # The clock's signals need no registration; those of other sources do.
        engine.register_trigger("maintenance.cleanup", source="operator")
        await engine.migrate()
        async with engine:
            put = await engine.put_workflow(WORKFLOW)
            for time in await engine.next_runs(put.definition.id, 3):
                print(f"Next run: {time:%Y-%m-%d %H:%M} UTC")
            signal = {"source": "operator", "type": "maintenance.cleanup"}
            trigger = await engine.emit({"tenantId": "workspace_1", **signal})
            for run_id in trigger.run_ids:
                await tell(engine, run_id)


if __name__ == "__main__":
    asyncio.run(main())
