"""Calls of every method about bulk operations, for tests that try all methods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from pulse_temporal import BulkOperation, BulkOverError, Engine
from tests.harness import TENANT, eventually


async def start_bulk(engine: Engine) -> BulkOperation:
    """Start an operation for a run that there is not."""
    return await engine.start_bulk("retry", run_ids=["run_1"], tenant_id=TENANT)


async def abort_bulk(engine: Engine, _: object) -> object:
    """Abort a new operation, which workers may have ended."""
    with suppress(BulkOverError):
        await engine.abort_bulk((await start_bulk(engine)).id)
    return True


async def failed_bulk(engine: Engine) -> BulkOperation:
    """Start an operation that fails with its run, and wait for its end."""
    started = await start_bulk(engine)

    async def is_over() -> bool:
        found = await engine.get_bulk(started.id)
        return found is not None and found.is_over

    await eventually(is_over)
    return started


async def repeat_bulk(engine: Engine, _: object) -> object:
    """Repeat an operation that has failed with a run."""
    return await engine.repeat_bulk((await failed_bulk(engine)).id)


async def bulk_items(engine: Engine, _: object) -> object:
    """List the items of the operation that was made with what is known."""
    (first,) = (await engine.list_bulk()).items
    return await engine.list_bulk_items(first.id)


async def first_bulk(engine: Engine, _: object) -> object:
    """Read it alone."""
    (first,) = (await engine.list_bulk()).items
    return await engine.get_bulk(first.id)


Method = Callable[[Engine, object], Awaitable[object]]
BULK_READS: dict[str, Method] = {
    "get_bulk": first_bulk,
    "list_bulk": lambda engine, _: engine.list_bulk(),
    "list_bulk_items": bulk_items,
    "preview_bulk": lambda engine, _: engine.preview_bulk("retry", filter={}, tenant_id=TENANT),
}
BULK_WRITES: dict[str, Method] = {
    "start_bulk": lambda engine, _: start_bulk(engine),
    "repeat_bulk": repeat_bulk,
    "abort_bulk": abort_bulk,
}
