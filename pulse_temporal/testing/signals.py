"""Complete what a test leaves out of a definition and of its signal."""

from __future__ import annotations

from collections.abc import Mapping

from pulse_temporal.model.definitions import WorkflowDefinition
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput, TriggerRegistration

TENANT = "test-tenant"
SOURCE = "test"


def owned(given: Mapping[str, object], *, tenant_id: str = TENANT) -> dict[str, object]:
    """Return the fields of a definition or a signal, with an owner where they name none."""
    return _filled(given, {"tenantId": tenant_id})


def matching_signal(
    signal: TriggerInput | Mapping[str, object] | None,
    definition: WorkflowDefinition,
    registration: TriggerRegistration | None,
) -> TriggerInput | Mapping[str, object]:
    """Fill in what is needed for a signal to match a definition; what is given stays."""
    if isinstance(signal, TriggerInput):
        return signal
    resource_type = definition.resource_type_filter
    if resource_type is None and registration is not None:
        resource_type = registration.resource_type
    needed = {
        "tenantId": definition.tenant_id,
        "type": definition.trigger_type,
        "source": registration.source if registration else SOURCE,
        "environment": definition.environment_filter,
        "resourceType": resource_type,
    }
    return _filled(signal or {}, {key: value for key, value in needed.items() if value})


def mismatch(definition: WorkflowDefinition, trigger: TriggerEnvelope) -> str:
    """Return why a signal did not match a definition."""
    wanted = {
        "tenantId": (definition.tenant_id, trigger.tenant_id),
        "type": (definition.trigger_type, trigger.type),
        "environment": (definition.environment_filter, trigger.environment),
        "resourceType": (definition.resource_type_filter, trigger.resource_type),
    }
    reasons = [
        f"its {field} is {given!r}, the definition wants {want!r}"
        for field, (want, given) in wanted.items()
        if want is not None and want != given
    ]
    if not definition.is_enabled:
        reasons.append("the definition is disabled")
    if trigger.duplicate:
        reasons.append("its idempotency key was used before")
    return "; ".join(reasons) or "nothing tells why"


def _filled(given: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, object]:
    """Add what is missing; a field may be given in camelCase or in snake_case."""
    missing = {
        key: value
        for key, value in defaults.items()
        if key not in given and _snake_case(key) not in given
    }
    return {**given, **missing}


def _snake_case(key: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
