"""A provider goes down and comes back: list the failed runs, retry them, cancel one instead.

A retried run goes on at the step that failed; the charge before it is not made again.
"""

from __future__ import annotations

import asyncio

from pulse_temporal import WorkflowContext, create_engine
from stage import servers, tell

WORKFLOW = {
    "tenantId": "workspace_1",
    "key": "error-recovery",
    "name": "Ship an order",
    "triggerType": "order.paid",
    "steps": [
        {"type": "action", "name": "charge_card"},
        {"type": "action", "name": "book_courier"},
        {"type": "delay", "name": "wait_for_pickup", "delayMs": 500},
    ],
}
courier = {"is_up": False}


async def charge_card(ctx: WorkflowContext) -> dict[str, object]:
    """Charge the customer."""
    return {"receipt": f"R-{ctx.trigger.resource_id}"}


async def book_courier(ctx: WorkflowContext) -> None:
    """Book a courier, whose API is down at first."""
    if not courier["is_up"]:
        raise ConnectionError("the courier's API does not answer")
    ctx.log("Courier booked")


async def main() -> None:
    """Let three orders fail, then deal with them."""
    async with servers() as (dsn, address):
        engine = create_engine(dsn, address)
        engine.register_trigger("order.paid", source="shop", resource_type="order")
        engine.register_action("charge_card", charge_card)
        engine.register_action("book_courier", book_courier)
        await engine.migrate()
        async with engine:
            await engine.put_workflow(WORKFLOW)
            for order in ("o-1", "o-2", "o-3"):
                signal = {"tenantId": "workspace_1", "source": "shop", "type": "order.paid"}
                about = {"resourceType": "order", "resourceId": order}
                trigger = await engine.emit({**signal, **about})
                for run_id in trigger.run_ids:
                    await engine.wait_for_run(run_id)
            courier["is_up"] = True

            workspace = engine.for_tenant("workspace_1")
            failed = (await workspace.get_failed_runs()).items
            print(f"{len(failed)} runs have failed: {failed[0].error_message}")
            for run in failed:
                retried = await workspace.retry_run(run.id)
                print(f"Retried {run.trigger_id}: {retried.status}, take {retried.generation}")
            await workspace.cancel_run(failed[-1].id, "The customer called")
            for run in failed:
                await tell(engine, run.id)


if __name__ == "__main__":
    asyncio.run(main())
