"""The methods of an engine about bulk operations."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pulse_temporal.engine.operations import Methods, operation
from pulse_temporal.errors import InvalidInputError
from pulse_temporal.model.bulk import (
    ELIGIBLE,
    MOST_NAMED,
    USUAL_RATE,
    BulkFilter,
    BulkItem,
    BulkKind,
    BulkOperation,
    BulkOutcome,
    BulkPreview,
)
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.runs import Page
from pulse_temporal.services.bulk.operations import BulkTerms, ChosenRuns
from pulse_temporal.services.pages import ROW_ID


class BulkMethods(Methods):
    """Do one thing to many runs of a tenant; workers do it, also while Temporal is away."""

    @operation
    async def start_bulk(  # noqa: PLR0913 - all but one are given by name
        self,
        kind: BulkKind,
        *,
        filter: BulkFilter | Mapping[str, object] | None = None,  # noqa: A002 - the word of the API
        run_ids: Collection[str] | None = None,
        tenant_id: str | None = None,
        reason: str | None = None,
        name: str | None = None,
        rate: float = USUAL_RATE,
        idempotency_key: str | None = None,
    ) -> BulkOperation:
        """Start to retry, cancel or replay many runs of one tenant; workers do it run by run.

        ```python
        started = await engine.start_bulk(
            "retry", filter={"definition_id": id}, tenant_id="acme", reason="Mail is back"
        )
        ```

        The runs of a filter are those that were created before this call and that something can
        be done to: failed ones to retry, open ones to cancel, any to replay, which replays the
        signal of each once. Each run is done once, whatever dies meanwhile, in the name of who
        started the operation.

        Args:
            kind: ``retry``, ``cancel`` or ``replay``.
            filter: Which runs: fields of ``BulkFilter``. ``{}`` means all of the tenant.
            run_ids: Instead of a filter, 1 to 10 000 ids.
            tenant_id: Whose runs; may be in the filter instead.
            reason: Why, for the runs' timelines and the audit; cut at 1 000 bytes.
            name: For people; one line of 1 to 200 characters.
            rate: Runs a second at most, 0.01 to 1 000.
            idempotency_key: Repeated with it, the call gives the operation of the first time.

        Raises:
            InvalidInputError: An argument is wrong, no tenant is named, or the filter means only
                runs that nothing can be done to.
            IdempotencyConflictError: The key was used for another operation.
        """
        chosen = self._chosen(kind, chosen=filter, run_ids=run_ids, tenant_id=tenant_id)
        terms = BulkTerms(reason=reason, name=name, rate=rate, key=idempotency_key)
        started = await self._parts.bulk.start(chosen, terms)
        self._parts.bulk_runner.nudge()
        return started

    @operation
    async def preview_bulk(
        self,
        kind: BulkKind,
        *,
        filter: BulkFilter | Mapping[str, object] | None = None,  # noqa: A002 - the word of the API
        run_ids: Collection[str] | None = None,
        tenant_id: str | None = None,
    ) -> BulkPreview:
        """Return what a bulk operation would be about if it began now; nothing is done.

        Args:
            kind: As of ``start_bulk``.
            filter: As of ``start_bulk``.
            run_ids: As of ``start_bulk``.
            tenant_id: As of ``start_bulk``.

        Returns:
            The runs counted up to 10 000, the newest five of them, and how many others are meant
            to which it cannot be done.

        Raises:
            InvalidInputError: As of ``start_bulk``.
        """
        chosen = self._chosen(kind, chosen=filter, run_ids=run_ids, tenant_id=tenant_id)
        return await self._parts.bulk.preview(chosen)

    @operation
    async def repeat_bulk(
        self, operation_id: str, *, tenant_id: str | None = None, reason: str | None = None
    ) -> BulkOperation:
        """Start another bulk operation, for the runs with which one has failed.

        Args:
            operation_id: Of one that is over.
            tenant_id: Narrows to one tenant.
            reason: Why; None: as the first one.

        Raises:
            NotFoundError: There is no such operation.
            InvalidInputError: It is not over, or has not failed with any run.
        """
        started = await self._parts.bulk.repeat(
            operation_id, tenant_id=self._scope.narrow(tenant_id), reason=reason
        )
        self._parts.bulk_runner.nudge()
        return started

    @operation
    async def get_bulk(
        self, operation_id: str, *, tenant_id: str | None = None
    ) -> BulkOperation | None:
        """Return a bulk operation with how far it has come, or None.

        Args:
            operation_id: Which one.
            tenant_id: Narrows to one tenant.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.bulk.get(operation_id, tenant_id=narrowed)

    @operation
    async def list_bulk(
        self, *, tenant_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[BulkOperation]:
        """Return one page of bulk operations, newest first.

        Args:
            tenant_id: Narrows to one tenant.
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.

        Raises:
            InvalidInputError: ``limit`` or ``cursor`` is wrong.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.bulk.list_page(tenant_id=narrowed, limit=limit, cursor=cursor)

    @operation
    async def list_bulk_items(
        self,
        operation_id: str,
        *,
        outcome: BulkOutcome | None = None,
        tenant_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[BulkItem]:
        """Return one page of the runs of a bulk operation, in the order of their turns.

        Args:
            operation_id: Which one.
            outcome: Narrows to ``pending``, ``done``, ``failed`` or ``skipped``.
            tenant_id: Narrows to one tenant.
            limit: 1 to 500.
            cursor: ``next_cursor`` of the page before.

        Raises:
            NotFoundError: There is no such operation.
            InvalidInputError: ``outcome``, ``limit`` or ``cursor`` is wrong.
        """
        return await self._parts.bulk.list_items(
            operation_id,
            tenant_id=self._scope.narrow(tenant_id),
            outcome=outcome,
            limit=limit,
            cursor=cursor,
        )

    @operation
    async def abort_bulk(
        self, operation_id: str, *, tenant_id: str | None = None, reason: str | None = None
    ) -> BulkOperation:
        """End a bulk operation: nothing is done to the runs whose turn has not come.

        When this returns no further run is touched; what was done stays done. Nothing happens to
        one that was aborted before.

        Args:
            operation_id: Which one.
            tenant_id: Narrows to one tenant.
            reason: Why, for the audit; cut at 1 000 bytes.

        Raises:
            NotFoundError: There is no such operation.
            BulkOverError: It is completed.
        """
        narrowed = self._scope.narrow(tenant_id)
        return await self._parts.bulk.abort(operation_id, tenant_id=narrowed, reason=reason)

    def _chosen(
        self,
        kind: BulkKind,
        *,
        chosen: BulkFilter | Mapping[str, object] | None,
        run_ids: Collection[str] | None,
        tenant_id: str | None,
    ) -> ChosenRuns:
        """Return what to do to which runs, of a tenant in whose scope it is.

        Raises:
            InvalidInputError: Something of it is wrong.
        """
        tenant = self._scope.narrow(tenant_id)
        if kind not in ELIGIBLE:
            raise InvalidInputError(
                f"kind must be {', '.join(ELIGIBLE)}, not {cut_repr(kind)[:100]}."
            )
        if (chosen is None) == (run_ids is None):
            raise InvalidInputError("Give either a filter or run_ids.")
        wanted = None
        if chosen is not None:
            wanted = (
                chosen
                if isinstance(chosen, BulkFilter)
                else BulkFilter.model_validate(dict(chosen))
            )
            named = self._scope.narrow(wanted.tenant_id)
            if tenant is not None and named not in (None, tenant):
                raise InvalidInputError(f"tenant_id is {tenant!r}, and the filter's is {named!r}.")
            tenant = tenant or named
        if tenant is None:
            raise InvalidInputError("A bulk operation is for one tenant: give a tenant_id.")
        if wanted is None:
            return ChosenRuns(kind, tenant, run_ids=_named(run_ids or ()))
        return ChosenRuns(kind, tenant, filter=wanted.model_copy(update={"tenant_id": tenant}))


def _named(run_ids: Collection[str]) -> list[str]:
    """Return ids of runs, each once.

    Raises:
        InvalidInputError: There are none or too many, or one can be of no run.
    """
    # A text is a collection of letters, and what was meant is one run.
    each = list(dict.fromkeys([run_ids] if isinstance(run_ids, str) else run_ids))
    if not 1 <= len(each) <= MOST_NAMED:
        raise InvalidInputError(f"run_ids must be 1 to {MOST_NAMED:,} ids, not {len(each):,}.")
    for run_id in each:
        if not isinstance(run_id, str) or not ROW_ID.fullmatch(run_id):  # pyright: ignore[reportUnnecessaryIsInstance] - a mistake
            raise InvalidInputError(f"{cut_repr(run_id)[:100]} is no id of a run.")
    return each
