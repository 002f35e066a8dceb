"""The methods of ``engine.signals`` that lists and pages stand on."""

from __future__ import annotations

from typing import Unpack

from pulse_temporal.engine.operations import Methods, operation
from pulse_temporal.model.runs import Page
from pulse_temporal.model.signal_views import SignalChain, SignalSummary
from pulse_temporal.model.view_filters import SignalFilter, SignalFilterFields


class SignalViewMethods(Methods):
    """None of these reads a payload."""

    @operation
    async def list(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        **wanted: Unpack[SignalFilterFields],
    ) -> Page[SignalSummary]:
        """Return one page of a tenant's signals, newest first.

        Go on until ``next_cursor`` is None, not until a page is short: a page looks at 10 000
        signals and ends then, even empty.

        Args:
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.
            wanted: Fields of ``SignalFilter``, such as ``type="order.paid"``; each narrows the
                list.

        Raises:
            InvalidInputError: A field is unknown or wrong, or no tenant is named.
        """
        chosen = SignalFilter(**wanted)
        narrowed = chosen.model_copy(update={"tenant_id": self._scope.narrow(chosen.tenant_id)})
        return await self._parts.signal_views.list_signals(narrowed, limit=limit, cursor=cursor)

    @operation
    async def chain(self, trigger_id: str, *, tenant_id: str | None = None) -> SignalChain:
        """Return the chain that a signal belongs to, as a tree.

        It begins with the first signal, has the runs that each signal started, and the signals
        that their handlers emitted: 1 000 signals and runs at most, those nearest to the first
        signal, and 50 signals that follow each other.

        Args:
            trigger_id: Any signal of the chain.
            tenant_id: Narrows to one tenant.

        Raises:
            NotFoundError: There is no such signal.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.signal_views.chain(trigger_id, tenant_id=narrowed)
