"""A trial ends: warn by email, wait three days, downgrade whoever has not upgraded.

The delay is one second long here; ``--in-full`` waits the three days, through every restart.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pulse_temporal import WorkflowContext, create_engine
from stage import servers, shortened, tell

PLANS = {"workspace_1": "trial", "workspace_2": "trial"}

WORKFLOW = {
    "key": "trial-expiration",
    "name": "Trial expiration",
    "triggerType": "trial.expiring",
    "steps": [
        {
            "type": "action",
            "name": "send_trial_warning",
            "retryPolicy": {"maxAttempts": 3, "backoffMs": 5_000},
            "timeoutMs": 30_000,
        },
        {"type": "delay", "name": "wait_3_days", "delayMs": shortened(timedelta(days=3))},
        {"type": "condition", "name": "has_not_upgraded"},
        {"type": "action", "name": "downgrade_to_free"},
    ],
}


async def send_trial_warning(ctx: WorkflowContext) -> None:
    """Send the email; the key lets the provider drop what it has seen before."""
    ctx.log(f"Wrote to {ctx.trigger.payload['email']}", {"key": ctx.idempotency_key})


async def has_not_upgraded(ctx: WorkflowContext) -> bool:
    """Ask billing, when the three days are over."""
    return PLANS[ctx.tenant_id] == "trial"


async def downgrade_to_free(ctx: WorkflowContext) -> dict[str, object]:
    """Change the plan."""
    PLANS[ctx.tenant_id] = "free"
    return {"plan": "free"}


async def main() -> None:
    """Let the trials of two tenants expire; one of them upgrades while its run waits."""
    async with servers() as (dsn, address):
        engine = create_engine(dsn, address)
        engine.register_trigger("trial.expiring", source="billing")
        engine.register_action("send_trial_warning", send_trial_warning)
        engine.register_condition("has_not_upgraded", has_not_upgraded)
        engine.register_action("downgrade_to_free", downgrade_to_free, replay_safe=True)
        await engine.migrate()
        async with engine:
            run_ids: list[str] = []
            for tenant_id in PLANS:
                await engine.put_workflow({"tenantId": tenant_id, **WORKFLOW})
                signal = {"tenantId": tenant_id, "source": "billing", "type": "trial.expiring"}
                payload = {"email": f"{tenant_id}@example.com", "daysLeft": 3}
                run_ids += (await engine.emit({**signal, "payload": payload})).run_ids
            PLANS["workspace_2"] = "team"
            for run_id in run_ids:
                await tell(engine, run_id)
            print("\nPlans:", PLANS)


if __name__ == "__main__":
    asyncio.run(main())
