"""A heartbeat is missed, for a service that stays down and for one that recovers meanwhile."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pulse_temporal import Engine, TriggerInput, WorkflowContext, create_engine
from stage import servers, shortened, tell

RECOVERED = {"web-shop"}

WORKFLOW = {
    "tenantId": "workspace_1",
    "key": "incident",
    "name": "Incident on missed heartbeat",
    "triggerType": "heartbeat.missed",
    "environmentFilter": "production",
    "steps": [
        {"type": "delay", "name": "wait_5m", "delayMs": shortened(timedelta(minutes=5))},
        {"type": "condition", "name": "service_still_down"},
        {"type": "action", "name": "create_incident"},
        {"type": "action", "name": "notify_oncall"},
    ],
    "config": {"severity": "high"},
}


async def service_still_down(ctx: WorkflowContext) -> bool:
    """Ask the service again; False ends the run here, as completed."""
    return ctx.trigger.resource_id not in RECOVERED


async def create_incident(ctx: WorkflowContext) -> dict[str, object]:
    """Open an incident; what is returned, later steps find in ``ctx.run.context``."""
    ctx.log("Incident created", {"severity": ctx.config["severity"]})
    return {"incidentId": f"INC-{ctx.trigger.resource_id}"}


async def notify_oncall(ctx: WorkflowContext) -> None:
    """Page whoever is on call; not replay-safe, so a replay pages nobody."""
    ctx.log(f"Paged about {ctx.run.context['create_incident']}")


def register(engine: Engine) -> None:
    """Tell the engine which signals there are, and the code behind the steps."""
    engine.register_trigger("heartbeat.missed", source="heartbeat", resource_type="service")
    engine.register_condition("service_still_down", service_still_down)
    engine.register_action("create_incident", create_incident, replay_safe=True)
    engine.register_action("notify_oncall", notify_oncall)


def signal(service: str) -> TriggerInput:
    """Say that a service has missed its heartbeat; models and mappings mean the same."""
    return TriggerInput(
        tenant_id="workspace_1",
        source="heartbeat",
        type="heartbeat.missed",
        resource_type="service",
        resource_id=service,
        environment="production",
    )


async def main() -> None:
    """Emit the signal for two services."""
    async with servers() as (dsn, address):
        engine = create_engine(dsn, address)
        register(engine)
        await engine.migrate()
        async with engine:
            await engine.put_workflow(WORKFLOW)
            for service in ("api-server", "web-shop"):
                for run_id in (await engine.emit(signal(service))).run_ids:
                    await tell(engine, run_id)


if __name__ == "__main__":
    asyncio.run(main())
