"""Signals: as emitted, as stored, and the registration of their types."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from pulse_temporal.model.canonical import opened
from pulse_temporal.model.values import Flag, Name, Prose, ResourceId, TenantId, Value


def _open(value: object) -> object:
    """Return a model as JSON; any other value as it is, for pydantic to check."""
    return opened(value, where="payload") if isinstance(value, BaseModel) else value


class TriggerInput(Value):
    """A signal to emit.

    Attributes:
        tenant_id: Owner; only this tenant's definitions match.
        source: The system that it comes from, as registered.
        type: What happened, for example ``heartbeat.missed``.
        resource_type: Kind of the thing that it is about; definitions may filter by it.
        resource_id: Id of that thing.
        environment: For example ``production``; definitions may filter by it.
        payload: Facts for handlers, a mapping or a pydantic model; must be canonical JSON, which
            ``emit`` checks.
        idempotency_key: Emits of one tenant with the same key are one signal.
    """

    tenant_id: TenantId
    source: Name
    type: Name
    resource_type: Name | None = None
    resource_id: ResourceId | None = None
    environment: Name | None = None
    payload: Annotated[dict[str, object], BeforeValidator(_open)] = Field(default_factory=dict)
    idempotency_key: Name | None = None


class TriggerEnvelope(TriggerInput):
    """A stored signal; its texts may be longer than this release accepts.

    Attributes:
        id: ``trg_`` + UUIDv7.
        created_at: When it was emitted, UTC.
        run_ids: Runs that it started, oldest definition first.
        duplicate: The signal of an earlier emit with the same idempotency key is returned.
        caused_by_run_id: The run whose handler emitted it; None when the application did.
        root_trigger_id: First signal of the chain; None when it is this one.
        depth: Number of signals before it in the chain.
        is_replay: Emitted by a replayed run.
    """

    tenant_id: str
    source: str
    type: str
    resource_type: str | None = None
    resource_id: str | None = None
    environment: str | None = None
    idempotency_key: str | None = None
    id: str
    created_at: AwareDatetime
    run_ids: tuple[str, ...] = ()
    duplicate: Flag = False
    caused_by_run_id: str | None = None
    root_trigger_id: str | None = None
    depth: int = 0
    is_replay: Flag = False


class TriggerRegistration(Value):
    """What signals of one type must look like.

    Attributes:
        source: The only source accepted.
        resource_type: When set, the only resource type accepted.
        payload_schema: When set, a model that the payload must fit.
        title: What people call it.
        description: When it is sent.
    """

    source: Name
    resource_type: Name | None = None
    payload_schema: type[BaseModel] | None = None
    title: Name | None = None
    description: Prose | None = None
