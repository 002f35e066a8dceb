"""The catalogue: which handlers and signal types there are, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pulse_temporal.config import EngineOptions
from pulse_temporal.handlers.registry import Action, Condition, Registry
from pulse_temporal.model.catalogue import CatalogEntry, schema_of
from pulse_temporal.model.signals import TriggerRegistration
from pulse_temporal.services.definitions.checks import WORKER_SILENCE
from pulse_temporal.store import catalog
from pulse_temporal.store.database import Database


class Catalogue:
    """Reads the catalogue.

    Args:
        database: Where live workers publish what they know.
        registry: What this process knows.
        options: Has the task queue.
    """

    def __init__(self, database: Database, registry: Registry, options: EngineOptions) -> None:
        self.database = database
        self.registry = registry
        self.options = options

    async def list_entries(self, *, tenant_id: str | None) -> list[CatalogEntry]:
        """Return what there is for a tenant, or for operators; see ``Engine.catalog``."""
        async with self.database.session() as session:
            published = await catalog.entries(
                session, task_queue=self.options.task_queue, silence=WORKER_SILENCE
            )
        found = {(entry.kind, entry.name): entry for entry in registered(self.registry)}
        found |= {(entry.kind, entry.name): entry for entry in published}
        return [
            found[key]
            for key in sorted(found)
            if tenant_id is None or found[key].audience == "tenants"
        ]


def registered(registry: Registry) -> Iterator[CatalogEntry]:
    """Yield what a process has registered, as the catalogue tells it."""
    for name, action in registry.actions.items():
        yield _handler("action", name, action)
    for name, condition in registry.conditions.items():
        yield _handler("condition", name, condition)
    for type_, registration in registry.triggers.items():
        yield _signal(type_, registration)


def _handler(
    kind: Literal["action", "condition"], name: str, handler: Action | Condition
) -> CatalogEntry:
    about = handler.about
    return CatalogEntry(
        kind=kind,
        name=name,
        title=about.title,
        description=about.description,
        group=about.group,
        audience=about.audience,
        replay_safe=isinstance(handler, Action) and handler.replay_safe,
        config_schema=schema_of(handler.config_schema),
        result_schema=schema_of(about.result_schema),
    )


def _signal(type_: str, registration: TriggerRegistration) -> CatalogEntry:
    return CatalogEntry(
        kind="signal",
        name=type_,
        title=registration.title,
        description=registration.description,
        source=registration.source,
        resource_type=registration.resource_type,
        payload_schema=schema_of(registration.payload_schema),
    )
