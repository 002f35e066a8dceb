"""A view of an engine that cannot leave its tenant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from pydantic import TypeAdapter, ValidationError

from pulse_temporal.engine.methods import AwaitableMethods
from pulse_temporal.errors import InvalidInputError
from pulse_temporal.model.definitions import (
    PutWorkflow,
    ValidationReport,
    WorkflowDefinition,
    WorkflowInput,
)
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.runs import Page, RunFilter, WorkflowRun
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.model.values import TenantId
from pulse_temporal.store.connection import Connection

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Owned = TypeVar("Owned", TriggerInput, WorkflowInput)

TENANT: TypeAdapter[str] = TypeAdapter(TenantId)
SPELLINGS = ("tenantId", "tenant_id")


def _narrowed(
    method: Callable[Concatenate[AwaitableMethods, Given], Awaitable[Answer]],
) -> Callable[Concatenate[TenantEngine, Given], Awaitable[Answer]]:
    """Return a method of the engine that asks for the view's tenant, whatever it is given."""

    @wraps(method)
    def call(
        view: TenantEngine, *arguments: Given.args, **options: Given.kwargs
    ) -> Awaitable[Answer]:
        view.check(options.get("tenant_id"))
        options["tenant_id"] = view.tenant_id
        return method(view.engine_methods, *arguments, **options)

    return call


class TenantEngine:
    """An engine for one tenant: other tenants' runs, signals and definitions are unknown to it.

    ```python
    acme = engine.for_tenant("acme")
    trigger = await acme.emit({"source": "shop", "type": "order.paid"})
    await acme.cancel_run(run_id)  # NotFoundError when it is not acme's
    ```

    The methods are those of the engine. ``tenant_id`` need not be given anywhere, and a call that
    names another tenant is refused. So code that serves a customer's request cannot forget it.
    What concerns the whole engine is not here: ``start``, ``stop``, ``migrate``, ``reconcile``,
    ``check_health``, ``transaction`` and registration.

    Attributes:
        tenant_id: Whose it is.
    """

    def __init__(self, engine: AwaitableMethods, tenant_id: str) -> None:
        try:
            self.tenant_id = TENANT.validate_python(tenant_id)
        except ValidationError:
            problem = f"{cut_repr(tenant_id)[:100]} cannot be a tenant's id"
        else:
            self.engine_methods = engine
            return
        raise InvalidInputError(f"{problem}: 1 to 200 characters, no control characters.")

    def check(self, tenant_id: object) -> None:
        """Refuse another tenant; None stands for the view's own.

        Raises:
            InvalidInputError: It is another tenant.
        """
        if tenant_id is not None and tenant_id != self.tenant_id:
            raise InvalidInputError(
                f"This view of the engine is for tenant {self.tenant_id!r}, not for "
                f"{cut_repr(tenant_id)[:100]}."
            )

    update_workflow = _narrowed(AwaitableMethods.update_workflow)
    get_workflow = _narrowed(AwaitableMethods.get_workflow)
    enable_workflow = _narrowed(AwaitableMethods.enable_workflow)
    disable_workflow = _narrowed(AwaitableMethods.disable_workflow)
    delete_workflow = _narrowed(AwaitableMethods.delete_workflow)
    next_runs = _narrowed(AwaitableMethods.next_runs)

    get_run = _narrowed(AwaitableMethods.get_run)
    get_run_steps = _narrowed(AwaitableMethods.get_run_steps)
    get_step_attempts = _narrowed(AwaitableMethods.get_step_attempts)
    get_runs_by_trigger = _narrowed(AwaitableMethods.get_runs_by_trigger)
    get_trigger = _narrowed(AwaitableMethods.get_trigger)
    get_failed_runs = _narrowed(AwaitableMethods.get_failed_runs)
    get_run_timeline = _narrowed(AwaitableMethods.get_run_timeline)
    get_run_logs = _narrowed(AwaitableMethods.get_run_logs)
    cancel_run = _narrowed(AwaitableMethods.cancel_run)
    retry_run = _narrowed(AwaitableMethods.retry_run)
    replay = _narrowed(AwaitableMethods.replay)
    wait_for_run = _narrowed(AwaitableMethods.wait_for_run)

    async def emit(
        self,
        signal: TriggerInput | Mapping[str, object],
        *,
        connection: Connection | None = None,
    ) -> TriggerEnvelope:
        """Store a signal of this tenant, as ``Engine.emit``; it need not name the tenant."""
        return await self.engine_methods.emit(self._owned(signal), connection=connection)

    async def emit_many(
        self,
        signals: Sequence[TriggerInput | Mapping[str, object]],
        *,
        connection: Connection | None = None,
    ) -> list[TriggerEnvelope]:
        """Store many signals of this tenant at once, as ``Engine.emit_many``."""
        owned = [self._owned(signal) for signal in signals]
        return await self.engine_methods.emit_many(owned, connection=connection)

    async def create_workflow(
        self, definition: WorkflowInput | Mapping[str, object]
    ) -> WorkflowDefinition:
        """Store a definition of this tenant, as ``Engine.create_workflow``."""
        return await self.engine_methods.create_workflow(self._owned(definition))

    async def put_workflow(
        self, definition: WorkflowInput | Mapping[str, object], *, key: str | None = None
    ) -> PutWorkflow:
        """Store a definition of this tenant under a key, as ``Engine.put_workflow``."""
        return await self.engine_methods.put_workflow(self._owned(definition), key=key)

    async def validate_workflow(
        self, definition: WorkflowInput | Mapping[str, object]
    ) -> ValidationReport:
        """Return what ``create_workflow`` would find, as ``Engine.validate_workflow``."""
        return await self.engine_methods.validate_workflow(self._owned(definition))

    async def list_workflows(
        self,
        *,
        trigger_type: str | None = None,
        is_enabled: bool | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[WorkflowDefinition]:
        """Return one page of this tenant's definitions, as ``Engine.list_workflows``."""
        return await self.engine_methods.list_workflows(
            tenant_id=self.tenant_id,
            trigger_type=trigger_type,
            is_enabled=is_enabled,
            limit=limit,
            cursor=cursor,
        )

    async def list_runs(
        self, wanted: RunFilter | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page[WorkflowRun]:
        """Return one page of this tenant's runs, as ``Engine.list_runs``."""
        wanted = wanted or RunFilter()
        self.check(wanted.tenant_id)
        own = wanted.model_copy(update={"tenant_id": self.tenant_id})
        return await self.engine_methods.list_runs(own, limit=limit, cursor=cursor)

    def _owned(self, given: Owned | Mapping[str, object]) -> Owned | Mapping[str, object]:
        """Return what was given, with the tenant in it.

        Raises:
            InvalidInputError: It names another tenant.
        """
        if not isinstance(given, Mapping):
            self.check(given.tenant_id)
            return given
        named = [given[spelling] for spelling in SPELLINGS if spelling in given]
        for tenant_id in named:
            self.check(tenant_id)
        rest = {name: value for name, value in given.items() if name not in SPELLINGS}
        return {"tenantId": self.tenant_id, **rest}
