"""What the audit says: who has changed what, when and why."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from pulse_temporal.model.acting import Actor
from pulse_temporal.model.values import JsonObject, Value

AuditAction = Literal[
    "run.cancel",
    "run.retry",
    "signal.replay",
    "definition.create",
    "definition.update",
    "definition.restore",
    "definition.enable",
    "definition.disable",
    "definition.delete",
    "bulk.start",
    "bulk.abort",
    "key.create",
    "key.rotate",
    "key.revoke",
    "link.create",
    "session.begin",
    "session.end",
]
"""What this release records; rows of a newer one may say more."""


class AuditEntry(Value):
    """One change that somebody has made.

    Attributes:
        id: ``aud_`` + UUIDv7.
        tenant_id: Whom it concerns; None: all tenants, such as a key for all of them.
        created_at: When, by the clock of Postgres.
        actor: Who, see ``acting``; ``library`` is code that named nobody.
        action: What was done, one of ``AuditAction`` or of a newer release.
        subject_id: To which run, signal, definition, key or bulk operation.
        reason: Why, in the words of who did it.
        detail: Facts that go with the action, such as ``{"version": 4}`` of a definition, whose
            content its versions keep. Never payloads or secrets.
        request_id: Of the HTTP request that asked for it.
    """

    id: str
    tenant_id: str | None
    created_at: AwareDatetime
    actor: Actor
    action: str
    subject_id: str
    reason: str | None = None
    detail: JsonObject
    request_id: str | None = None
