"""One workflow sets off another: a repair that works emits a signal, which closes the incident.

The two workflows know nothing of each other; the signal between them is all they share.
"""

from __future__ import annotations

import asyncio

from pulse_temporal import WorkflowContext, create_engine
from stage import servers, tell

REPAIR = {
    "tenantId": "workspace_1",
    "key": "repair",
    "name": "Repair a failing service",
    "triggerType": "service.failing",
    "steps": [{"type": "action", "name": "attempt_auto_fix"}],
}
CLOSE = {
    "tenantId": "workspace_1",
    "key": "close",
    "name": "Close the incident on recovery",
    "triggerType": "service.recovered",
    "steps": [{"type": "action", "name": "close_incident"}],
}


async def attempt_auto_fix(ctx: WorkflowContext) -> dict[str, object]:
    """Repair the service; whoever cares for its recovery is told by a signal.

    However often this attempt is repeated, ``ctx.emit`` stores the signal once. The tenant is
    the run's own, and no other can be named.
    """
    fix = "restarted"
    recovered = await ctx.emit(
        {
            "source": "auto-remediation",
            "type": "service.recovered",
            "resourceType": "service",
            "resourceId": ctx.trigger.resource_id,
            "payload": {"fix": fix},
        }
    )
    return {"fix": fix, "startedRuns": list(recovered.run_ids)}


async def close_incident(ctx: WorkflowContext) -> None:
    """Close the incident; the signal knows the run that caused it."""
    ctx.log(f"Closed: {ctx.trigger.resource_id} was {ctx.trigger.payload['fix']}")


async def main() -> None:
    """Emit one signal and follow both runs."""
    async with servers() as (dsn, address):
        engine = create_engine(dsn, address)
        engine.register_trigger("service.failing", source="monitoring", resource_type="service")
        engine.register_trigger("service.recovered", source="auto-remediation")
        engine.register_action("attempt_auto_fix", attempt_auto_fix)
        engine.register_action("close_incident", close_incident)
        await engine.migrate()
        async with engine:
            await engine.put_workflow(CLOSE)
            await engine.put_workflow(REPAIR)
            signal = {"tenantId": "workspace_1", "source": "monitoring", "type": "service.failing"}
            resource = {"resourceType": "service", "resourceId": "api-server"}
            trigger = await engine.emit({**signal, **resource})
            for run_id in trigger.run_ids:
                repair = await tell(engine, run_id)
                for run in (await engine.list_runs()).items:
                    cause = await engine.get_trigger(run.trigger_id)
                    if cause is not None and cause.caused_by_run_id == repair.id:
                        await tell(engine, run.id)


if __name__ == "__main__":
    asyncio.run(main())
