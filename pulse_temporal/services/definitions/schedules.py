"""Keep a definition's Temporal schedule equal to its row.

The outbox only says which definition to look at, so commands may be executed late, twice or in
any order. A disabled definition has a paused schedule.

Two properties of Temporal shape this module. An update makes it forget the ticks that were due
before the update and that it has not started yet; so none is sent when nothing differs. And it
does not start ticks that were due before it knew of a change; those, back to the catch-up window
at most, are started here (``tests/integration/test_late_ticks.py``).
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import (
    Priority,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from pulse_temporal import contract
from pulse_temporal.config import EngineOptions
from pulse_temporal.contract import CronClock
from pulse_temporal.errors import DefinitionError
from pulse_temporal.failpoints import reach
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.services.definitions.cron import Cron, parse_cron
from pulse_temporal.services.definitions.ticks import due_times, tick_key
from pulse_temporal.store import schedules, triggers
from pulse_temporal.store.database import Database
from pulse_temporal.store.schedules import ScheduleOwner
from pulse_temporal.store.triggers import IdempotencyKey
from pulse_temporal.temporal.attributes import SEARCH_ATTRIBUTES, search_attributes

log: logging.Logger = logging.getLogger(__name__)

AT_ONCE = 4
"""Schedules that one process syncs at a time; each holds a connection while Temporal is asked."""

SETTLING = timedelta(seconds=5)
"""How long Temporal may take until a changed schedule ticks; ticks due by then are started here
as well, which makes none twice."""

SCHEDULED_TIME = SearchAttributeKey.for_datetime(contract.SCHEDULED_TIME_ATTRIBUTE)

SHARE = 4
"""One in four connections of an application's pool may be held while Temporal is asked."""


class Schedules:
    """Makes Temporal's schedules equal to the definitions in Postgres."""

    def __init__(self, database: Database, options: EngineOptions) -> None:
        self.database = database
        self.options = options
        self._slots = asyncio.Semaphore(_slots(database))
        self._strangers: set[str] = set()

    async def sync(self, client: Client, definition_id: str, *, tenant_id: str) -> None:
        """Create, change, pause, resume or delete the schedule of a definition.

        Processes take turns at a definition, by an advisory lock, and read the row only under
        it: the last one to write to Temporal has seen the newest row. Deleted definitions stay
        in their table, so one that is not there belongs to another database, and its schedule
        is left alone.

        Args:
            client: Of Temporal.
            definition_id: The definition.
            tenant_id: Its tenant; empty when only the schedule was found, in Temporal's list.

        Raises:
            RPCError: Temporal did not accept the change; try again.
            PostgresUnavailableError: No answer, or no turn within the limit.
        """
        tenant = tenant_id or None
        async with self._slots:
            if not await self._keep(definition_id, tenant_id=tenant):
                return
            async with self.database.transaction() as session:
                await schedules.lock(session, definition_id)
                owner = await schedules.find_owner(session, definition_id, tenant_id=tenant)
                cron = _cron_of(owner)
                await reach("schedule.before_sync")
                error = None
                if owner is None or cron is None or not self._keeps(owner):
                    await self._delete(client, definition_id)
                else:
                    error = await self._put_or_refuse(client, owner, cron)
                await reach("schedule.after_sync")
                # After the schedule: a tick due between the two is in it already, or started here.
                if owner is not None and error is None and self._may_tick(owner):
                    await self._make_up(client, session, owner)
                if owner is not None and error != owner.schedule_error:
                    await schedules.note_error(session, owner, error)

    async def _keep(self, definition_id: str, *, tenant_id: str | None) -> bool:
        """Note that this queue's engines keep a definition's schedule.

        Committed before Temporal is asked. So whoever finds the schedule there finds it expected
        here, and the row is not locked while Temporal is slow. Without a ``tenant_id`` the
        schedule was only found in Temporal's list; then engines of another queue that keep it
        go on to do so (``tests/integration/test_schedule_commands.py``).

        Returns:
            Whether the definition exists, deleted or not.
        """
        async with self.database.session() as session:
            owner = await schedules.find_owner(session, definition_id, tenant_id=tenant_id)
            if owner is None:
                self._leave_alone(definition_id)
                return False
            is_asked_for = tenant_id is not None or owner.schedule_queue is None
            if is_asked_for and _cron_of(owner) is not None:
                await schedules.keep(
                    session,
                    definition_id,
                    tenant_id=owner.tenant_id,
                    task_queue=self.options.task_queue,
                )
        return True

    def _keeps(self, owner: ScheduleOwner) -> bool:
        """Return whether engines of this queue keep its schedule."""
        return owner.schedule_queue == self.options.task_queue

    def _may_tick(self, owner: ScheduleOwner) -> bool:
        """Return whether engines of this queue start its ticks; also if nobody has kept it yet."""
        return owner.schedule_queue is None or self._keeps(owner)

    async def _put_or_refuse(self, client: Client, owner: ScheduleOwner, cron: Cron) -> str | None:
        """Create or update the schedule; return why Temporal refuses it for good, else None.

        That is a zone that the server does not know. Raised, it would come again with each try
        of the relay, for ever.
        """
        try:
            await self._put(client, owner, cron)
        except RPCError as error:
            # INVALID_ARGUMENT alone would also be a missing search attribute, which passes.
            is_for_good = error.status == RPCStatusCode.INVALID_ARGUMENT
            if not is_for_good or "schedule spec" not in error.message:
                raise
            log.error(  # noqa: TRY400 - the text says all
                "Temporal refuses the cron %s of definition %s, which does not tick: %s. Change"
                " it, or give the Temporal server newer zones and enable the definition again.",
                title_of(cron.text, owner.timezone),
                owner.id,
                error.message,
            )
            return f"Temporal refuses the schedule: {error.message}"
        return None

    async def _make_up(self, client: Client, session: Session, owner: ScheduleOwner) -> None:
        """Start the ticks that were due before Temporal knew of them.

        None comes twice, though the schedule may start the same ones: the workflow has the id
        that the schedule would give it, which Temporal accepts once, and the signal has the
        tick's key, which is stored once.
        """
        now = await schedules.now(session)
        since = now - self.options.cron_catchup
        states = await schedules.story(session, owner, since=since)
        due = [*due_times(states, since=since, until=now + SETTLING)]
        keys = {time: IdempotencyKey(owner.tenant_id, tick_key(owner.id, time)) for time, _ in due}
        known = await triggers.find_by_keys(session, [*keys.values()]) if keys else {}
        for time, state in due:
            if keys[time] in known:  # the tick has emitted; this only spares a workflow
                continue
            clock = CronClock(
                definition_id=owner.id,
                tenant_id=owner.tenant_id,
                cron_expression=state.cron_expression or "",
                timezone=state.timezone,
            )
            delay = max(timedelta(), time - now)
            await self._start_tick(client, clock, nominal=time, delay=delay)

    async def _start_tick(
        self, client: Client, clock: CronClock, *, nominal: datetime, delay: timedelta
    ) -> None:
        """Start a tick as the schedule would; do nothing when that has been done."""
        try:
            await client.start_workflow(
                contract.CRON_WORKFLOW,
                clock,
                id=f"{self._id(clock.definition_id)}-{nominal:%Y-%m-%dT%H:%M:%SZ}",
                task_queue=self.options.task_queue,
                task_timeout=self.options.task_timeout,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                memo={"cron": clock.cron_expression, "timezone": clock.timezone},
                search_attributes=_labels_of_tick(clock, nominal),
                static_summary=f"cron {title_of(clock.cron_expression, clock.timezone)}",
                start_delay=delay or None,
                priority=Priority(fairness_key=contract.fairness_key(clock.tenant_id)),
                rpc_timeout=self.options.temporal_timeout,
            )
        except WorkflowAlreadyStartedError:
            return
        log.info("A tick of definition %s was made up for, of %s.", clock.definition_id, nominal)

    def _leave_alone(self, definition_id: str) -> None:
        """Log, once a process, that a schedule belongs to another database."""
        if definition_id not in self._strangers:
            self._strangers.add(definition_id)
            facts = {"definition_id": definition_id, "schedule_id": self._id(definition_id)}
            log.warning(
                "Temporal's schedule %(schedule_id)r is left alone: this database has no"
                " definition %(definition_id)r. Delete it there if nobody else has.",
                facts,
                extra=facts,
            )

    async def _delete(self, client: Client, definition_id: str) -> None:
        """Delete the schedule; one that is not there is deleted already."""
        handle = client.get_schedule_handle(self._id(definition_id))
        try:
            await handle.delete(rpc_timeout=self.options.temporal_timeout)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise

    async def _put(self, client: Client, owner: ScheduleOwner, cron: Cron) -> None:
        """Update the schedule if it differs from the row; create it if it is not there."""
        clock = CronClock(
            definition_id=owner.id,
            tenant_id=owner.tenant_id,
            cron_expression=cron.text,
            timezone=owner.timezone,
            database=self.database.id,
        )
        labels = _labels(clock)
        wanted = self._schedule(clock, cron, labels, is_paused=not owner.is_enabled)

        async def change(found: ScheduleUpdateInput) -> ScheduleUpdate | None:
            is_same = await _is_same(client, found.description.schedule, wanted, clock)
            return None if is_same else ScheduleUpdate(wanted)

        timeout = self.options.temporal_timeout
        handle = client.get_schedule_handle(self._id(owner.id))
        try:
            await handle.update(change, rpc_timeout=timeout)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            await client.create_schedule(
                handle.id, wanted, search_attributes=labels, rpc_timeout=timeout
            )

    def _schedule(
        self, clock: CronClock, cron: Cron, labels: TypedSearchAttributes, *, is_paused: bool
    ) -> Schedule:
        """Return the schedule that a definition should have."""
        title = title_of(clock.cron_expression, clock.timezone)
        return Schedule(
            action=ScheduleActionStartWorkflow(
                contract.CRON_WORKFLOW,
                clock,
                id=self._id(clock.definition_id),
                task_queue=self.options.task_queue,
                task_timeout=self.options.task_timeout,
                memo={"cron": clock.cron_expression, "timezone": clock.timezone},
                typed_search_attributes=labels,
                static_summary=f"cron {title}",
                priority=Priority(fairness_key=contract.fairness_key(clock.tenant_id)),
            ),
            spec=ScheduleSpec(calendars=cron.calendars(), time_zone_name=cron.clock_zone),
            # By default Temporal skips a tick while the last one runs: without a worker, all
            # ticks but the first would be lost.
            policy=SchedulePolicy(
                overlap=ScheduleOverlapPolicy.ALLOW_ALL, catchup_window=self.options.cron_catchup
            ),
            state=ScheduleState(note=title, paused=is_paused),
        )

    def _id(self, definition_id: str) -> str:
        return contract.schedule_id(self.options.queue_prefix, definition_id)


def title_of(cron_expression: str, timezone: str) -> str:
    """Return the note of a schedule: the expression as its author wrote it, and the zone."""
    return f"{cron_expression} ({timezone})"


def _slots(database: Database) -> int:
    """Return how many connections may be held at a time while Temporal is asked."""
    if database.lent_size is None:
        return AT_ONCE
    return max(1, min(AT_ONCE, database.lent_size // SHARE))


def _cron_of(owner: ScheduleOwner | None) -> Cron | None:
    """Return the cron that a definition should tick by; None, with a log line, if unreadable.

    An older release may have stored what this one refuses. That must not stop the relay.
    """
    if owner is None or owner.is_deleted or owner.cron_expression is None:
        return None
    try:
        return parse_cron(owner.cron_expression, owner.timezone)
    except DefinitionError as error:
        facts = {
            "definition_id": owner.id,
            "tenant_id": owner.tenant_id,
            "error": str(error),
        }
        log.error(  # noqa: TRY400 - the text says what is wrong with the row
            "The cron of definition %(definition_id)s of tenant %(tenant_id)s cannot be read, and"
            " does not tick: %(error)s",
            facts,
            extra=facts,
        )
        return None


async def _is_same(client: Client, found: Schedule, wanted: Schedule, clock: CronClock) -> bool:
    """Return whether a schedule has all that we would write.

    Then no update is sent: it would only make Temporal forget ticks that it has yet to start.
    Memo, labels and priority are not compared, as they follow from the clock.
    """
    action, planned = found.action, wanted.action
    if not isinstance(action, ScheduleActionStartWorkflow) or not isinstance(
        planned, ScheduleActionStartWorkflow
    ):
        return False
    try:
        arguments = await client.data_converter.decode(action.args, [CronClock])
    except Exception:  # noqa: BLE001 - another release's input, or the application's codec fails
        return False
    return (
        arguments == [clock]
        and (action.task_queue, action.task_timeout) == (planned.task_queue, planned.task_timeout)
        and [*found.spec.calendars] == [*wanted.spec.calendars]
        and found.spec.time_zone_name == wanted.spec.time_zone_name
        and found.policy == wanted.policy
        and (found.state.paused, found.state.note) == (wanted.state.paused, wanted.state.note)
    )


def _labels(clock: CronClock) -> TypedSearchAttributes:
    return search_attributes(
        {
            contract.TENANT_ATTRIBUTE: clock.tenant_id,
            contract.DEFINITION_ATTRIBUTE: clock.definition_id,
        }
    )


def _labels_of_tick(clock: CronClock, nominal: datetime) -> TypedSearchAttributes:
    """Return the search attributes of a tick, with its time, as Temporal's schedules set them."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(SEARCH_ATTRIBUTES[contract.TENANT_ATTRIBUTE], clock.tenant_id),
            SearchAttributePair(
                SEARCH_ATTRIBUTES[contract.DEFINITION_ATTRIBUTE], clock.definition_id
            ),
            SearchAttributePair(SCHEDULED_TIME, nominal),
        ]
    )
