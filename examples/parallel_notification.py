"""An alert goes out on three channels at the same time; what follows waits for all of them.

Slack is away for the first attempt. Its branch tries again while the others go on.
"""

from __future__ import annotations

import asyncio

from pulse_temporal import WorkflowContext, create_engine
from stage import servers, tell

WORKFLOW = {
    "tenantId": "workspace_1",
    "key": "parallel-notification",
    "name": "Multi-channel alert",
    "triggerType": "alert.triggered",
    "steps": [
        {
            "type": "parallel",
            "name": "notify_all",
            "branches": [
                [{"type": "action", "name": "send_email"}],
                [
                    {
                        "type": "action",
                        "name": "send_slack",
                        "retryPolicy": {"maxAttempts": 3, "backoffMs": 500},
                    }
                ],
                [{"type": "action", "name": "send_sms"}],
            ],
        },
        {"type": "action", "name": "mark_notified"},
    ],
    "config": {"email": "oncall@example.com", "slack": "#alerts", "phone": "+15550100"},
}


async def send_email(ctx: WorkflowContext) -> dict[str, object]:
    """Send an email."""
    return {"to": ctx.config["email"]}


async def send_slack(ctx: WorkflowContext) -> dict[str, object]:
    """Post to Slack, which is away for the first attempt."""
    if ctx.step.attempt == 1:
        raise ConnectionError("Slack answered 503")
    return {"channel": ctx.config["slack"]}


def send_sms(ctx: WorkflowContext) -> dict[str, object]:
    """Send a text message; a function that is not async runs in a thread."""
    return {"number": ctx.config["phone"]}


async def mark_notified(ctx: WorkflowContext) -> None:
    """See the results of all branches."""
    ctx.log(f"Notified by {', '.join(sorted(ctx.run.context))}")


async def main() -> None:
    """Emit an alert."""
    async with servers() as (dsn, address):
        engine = create_engine(dsn, address)
        engine.register_trigger("alert.triggered", source="monitoring")
        for handler in (send_email, send_slack, send_sms, mark_notified):
            engine.register_action(handler.__name__, handler)
        await engine.migrate()
        async with engine:
            await engine.put_workflow(WORKFLOW)
            signal = {"source": "monitoring", "type": "alert.triggered"}
            trigger = await engine.emit({"tenantId": "workspace_1", **signal})
            for run_id in trigger.run_ids:
                await tell(engine, run_id)


if __name__ == "__main__":
    asyncio.run(main())
