"""Whom the methods of an engine, or of a view of it, may ask about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from pulse_temporal.errors import InvalidInputError
from pulse_temporal.model.definitions import WorkflowInput
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.signals import TriggerInput
from pulse_temporal.model.values import TenantId

Owned = TypeVar("Owned", TriggerInput, WorkflowInput)

TENANT: TypeAdapter[str] = TypeAdapter(TenantId)
SPELLINGS = ("tenantId", "tenant_id")


class TenantScope:
    """All tenants, or one that cannot be left.

    Args:
        tenant_id: The only tenant; None for all.
    """

    def __init__(self, tenant_id: str | None) -> None:
        self.tenant_id = tenant_id

    def narrow(self, tenant_id: str | None) -> str | None:
        """Return the tenant that a call is about; None: all of them.

        Raises:
            InvalidInputError: The call names another tenant than the only one.
        """
        if self.tenant_id is None:
            return tenant_id
        self._check(tenant_id)
        return self.tenant_id

    def own(self, given: Owned | Mapping[str, object]) -> Owned | Mapping[str, object]:
        """Return a signal or a definition as it was given, with the only tenant in it.

        Raises:
            InvalidInputError: It names another tenant.
        """
        if self.tenant_id is None:
            return given
        if not isinstance(given, Mapping):
            self._check(given.tenant_id)
            return given
        named = [given[spelling] for spelling in SPELLINGS if spelling in given]
        for tenant_id in named:
            self._check(tenant_id)
        rest = {name: value for name, value in given.items() if name not in SPELLINGS}
        return {"tenantId": self.tenant_id, **rest}

    def own_all(
        self, given: Sequence[TriggerInput | Mapping[str, object]]
    ) -> Sequence[TriggerInput | Mapping[str, object]]:
        """Return signals with the only tenant in them.

        Raises:
            InvalidInputError: One of them names another tenant.
        """
        return given if self.tenant_id is None else [self.own(each) for each in given]

    def _check(self, tenant_id: object) -> None:
        if tenant_id is not None and tenant_id != self.tenant_id:
            raise InvalidInputError(
                f"This view of the engine is for tenant {self.tenant_id!r}, not for "
                f"{cut_repr(tenant_id)[:100]}."
            )


ALL_TENANTS = TenantScope(None)


def scope_of(tenant_id: str) -> TenantScope:
    """Return the scope of one tenant.

    What is no tenant's id must not become "all tenants".

    Raises:
        InvalidInputError: It cannot be a tenant's id.
    """
    try:
        return TenantScope(TENANT.validate_python(tenant_id))
    except ValidationError:
        problem = f"{cut_repr(tenant_id)[:100]} cannot be a tenant's id"
    raise InvalidInputError(f"{problem}: 1 to 200 characters, no control characters.")
