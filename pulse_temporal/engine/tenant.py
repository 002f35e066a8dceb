"""A view of an engine that cannot leave its tenant."""

from __future__ import annotations

from pulse_temporal.engine.bulk import BulkMethods
from pulse_temporal.engine.cataloguing import Cataloguing
from pulse_temporal.engine.definitions import EngineDefinitions
from pulse_temporal.engine.flat import FlatMethods
from pulse_temporal.engine.guarding import Guarding
from pulse_temporal.engine.operations import Awaited
from pulse_temporal.engine.runs import EngineRuns
from pulse_temporal.engine.scope import scope_of
from pulse_temporal.engine.searching import Searching
from pulse_temporal.engine.signals import EngineSignals
from pulse_temporal.engine.wiring import Parts


class TenantEngine(FlatMethods, Searching, Guarding, BulkMethods, Cataloguing, Awaited):
    """An engine for one tenant: other tenants' runs, signals and definitions are unknown to it.

    ```python
    acme = engine.for_tenant("acme")
    trigger = await acme.emit({"source": "shop", "type": "order.paid"})
    await acme.runs.cancel(run_id)  # NotFoundError when it is not acme's
    ```

    The methods are those of the engine. ``tenant_id`` need not be given anywhere, and a call that
    names another tenant is refused. So code that serves a customer's request cannot forget it.
    What concerns the whole engine is not here: ``start``, ``stop``, ``migrate``, ``reconcile``,
    ``check_health``, ``list_workers``, ``list_tenants``, ``authenticate_api_key``, the sessions of
    people who have signed in, ``transaction`` and registration.

    Attributes:
        tenant_id: Whose it is.
        runs: As of the engine.
        definitions: As of the engine.
        signals: As of the engine.
    """

    def __init__(self, parts: Parts, tenant_id: str) -> None:
        super().__init__(parts, scope_of(tenant_id))
        self.tenant_id = tenant_id
        self.runs: EngineRuns = self._runs
        self.definitions: EngineDefinitions = self._definitions
        self.signals: EngineSignals = self._signals
