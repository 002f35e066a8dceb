"""What is known of handlers and signal types, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pulse_temporal.model.catalogue import CatalogEntry
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.json_columns import json_object


async def publish(
    session: Session, entries: Sequence[CatalogEntry], *, task_queue: str, worker_id: str
) -> None:
    """Record what a process knows; forget what no process on record knows any more."""
    await session.run(
        "catalog.publish",
        task_queue=task_queue,
        worker_id=worker_id,
        kinds=[entry.kind for entry in entries],
        names=[entry.name for entry in entries],
        details=[
            entry.model_dump_json(exclude={"kind", "name", "workers"}, exclude_defaults=True)
            for entry in entries
        ],
    )
    await session.run("catalog.forget", task_queue=task_queue)


async def entries(session: Session, *, task_queue: str, silence: timedelta) -> list[CatalogEntry]:
    """Read what live processes know, by kind and name."""
    found = await session.rows("catalog.entries", task_queue=task_queue, silence=silence)
    # A newer release may say more of an entry than this one understands.
    return [
        CatalogEntry.model_validate(
            {
                **json_object(row["detail"]),
                "kind": row["kind"],
                "name": row["name"],
                "workers": row["workers"],
            },
            extra="ignore",
        )
        for row in found
    ]
