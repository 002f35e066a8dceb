"""Handlers of an application, as a worker process takes them; replace it by your own module."""

from __future__ import annotations

from pulse_temporal import Engine, WorkflowContext


def register(engine: Engine) -> None:
    """Register the signals and handlers of this application."""
    engine.register_trigger("order.paid", source="shop")
    engine.register_action("send_receipt", send_receipt)
    engine.register_condition("wants_receipt", wants_receipt)


async def wants_receipt(ctx: WorkflowContext) -> bool:
    """Return whether the customer asked for a receipt."""
    return ctx.trigger.payload.get("receipt") is not False


async def send_receipt(ctx: WorkflowContext) -> dict[str, object]:
    """Send a receipt; the provider drops a second one with the same key."""
    ctx.log("Receipt sent", {"order": ctx.trigger.resource_id, "key": ctx.idempotency_key})
    return {"sent": True}
