"""The methods of ``engine.runs`` that follow a run, and show what it has frozen."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta

from pulse_temporal.engine.operations import Methods, iteration, operation
from pulse_temporal.errors import NotFoundError, PostgresUnavailableError
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.runs import TERMINAL_RUN_STATUSES
from pulse_temporal.model.views import RunView

AGAIN_WHEN_OPEN = timedelta(seconds=2)
"""A sequence number may commit after a higher one, and what blocks a step makes no event."""

AGAIN_WHEN_OVER = timedelta(seconds=30)


class RunWatchMethods(Methods):
    """One poller of the process serves all who watch; nothing is asked while nobody does."""

    @iteration
    async def watch(
        self, run_id: str, *, tenant_id: str | None = None, follow: bool = False
    ) -> AsyncGenerator[RunView]:
        """Yield a run as it stands, and again after each change, until it is over.

        ```python
        async for view in engine.runs.watch(run_id):
            print(view.run.status, view.run.steps_done, "of", view.run.steps)
        ```

        Changes are seen within about 0.2 s; several at once are one. While Postgres is away
        nothing comes, and after that what has changed meanwhile. Ends when the engine stops.

        Args:
            run_id: Which run.
            tenant_id: Narrows to one tenant.
            follow: Go on after its end: a failed run may be retried.

        Raises:
            NotFoundError: There is no such run.
            PostgresUnavailableError: Postgres does not answer at the beginning.
        """
        narrowed = self._scope.narrow(tenant_id)
        last: RunView | None = None
        with self._parts.feed.watch(run_id, tenant_id=narrowed) as watch:
            while True:
                try:
                    view = await self._parts.run_views.view(run_id, tenant_id=narrowed)
                except PostgresUnavailableError:
                    if last is None:
                        raise
                    view = last
                if view is None:
                    raise NotFoundError(f"There is no run {run_id}.")
                if view != last:
                    yield view
                    last = view
                is_over = view.run.status in TERMINAL_RUN_STATUSES
                if is_over and not follow:
                    return
                if not await watch.news(within=AGAIN_WHEN_OVER if is_over else AGAIN_WHEN_OPEN):
                    return

    @operation
    async def snapshot(self, run_id: str, *, tenant_id: str | None = None) -> DefinitionSnapshot:
        """Return the definition as the run has frozen it; later changes do not reach the run.

        Args:
            run_id: Which run.
            tenant_id: Narrows to one tenant.

        Raises:
            NotFoundError: There is no such run.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.history.get_snapshot(run_id, tenant_id=narrowed)
