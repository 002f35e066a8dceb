"""A web application: orders and signals commit together, runs can be looked at.

DATABASE_URL=… TEMPORAL_ADDRESS=… uvicorn --app-dir examples fastapi_app:app
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from pulse_temporal import PulseError, RunTimelineEntry, WorkflowContext, create_engine

engine = create_engine(os.environ["DATABASE_URL"], os.environ["TEMPORAL_ADDRESS"])
engine.register_trigger("order.paid", source="shop", resource_type="order")


@engine.action("send_receipt")
async def send_receipt(ctx: WorkflowContext) -> dict[str, object]:
    """Send the receipt of an order."""
    return {"receipt": f"R-{ctx.trigger.resource_id}"}


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
    """Prepare the tables, then work on runs for as long as the application lives."""
    await engine.migrate()
    async with engine.transaction() as connection:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS orders (id text PRIMARY KEY, tenant_id text, cents int)"
        )
    async with engine:
        yield


app = FastAPI(lifespan=lifespan)


class Order(BaseModel):
    """An order, paid."""

    id: str
    cents: int


def tenant(x_tenant: Annotated[str, Header()]) -> str:
    """Return who asks; a real application takes it from the session, never from the client."""
    return x_tenant


Tenant = Annotated[str, Depends(tenant)]


@app.post("/orders", status_code=201)
async def create_order(order: Order, tenant_id: Tenant) -> dict[str, object]:
    """Store an order and tell Pulse about it: both happen, or neither."""
    async with engine.transaction() as connection:
        await connection.execute(
            "INSERT INTO orders VALUES ($1, $2, $3)", order.id, tenant_id, order.cents
        )
        trigger = await engine.emit(
            {
                "tenantId": tenant_id,
                "source": "shop",
                "type": "order.paid",
                "resourceType": "order",
                "resourceId": order.id,
                "payload": {"cents": order.cents},
            },
            connection=connection,
        )
    return {"trigger": trigger.id, "runs": trigger.run_ids}


@app.post("/workflows", status_code=201)
async def create_workflow(definition: dict[str, object], tenant_id: Tenant) -> dict[str, object]:
    """Let a tenant author a workflow; what is wrong comes back with JSON pointers."""
    stored = await engine.create_workflow({**definition, "tenantId": tenant_id})
    return {"id": stored.id}


@app.get("/runs/{run_id}/timeline")
async def timeline(run_id: str, tenant_id: Tenant) -> list[RunTimelineEntry]:
    """Show what a run of this tenant has done so far; another tenant's run is not found."""
    return await engine.for_tenant(tenant_id).runs.timeline(run_id)


@app.exception_handler(PulseError)
async def refuse(_request: Request, error: PulseError) -> JSONResponse:
    """Answer with the error's stable code."""
    status = 503 if error.retryable else 404 if error.code == "not_found" else 422
    return JSONResponse({"code": error.code, "message": str(error)}, status)
