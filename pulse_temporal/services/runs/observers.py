"""Tell the application's hooks that steps and runs have ended, without being hurt by them.

The process whose transaction ended a step or a run tells its own hooks, once. Events wait in a
line for each tenant, bounded together; a hook that hangs is given up, one that raises is logged,
and what finds no room is dropped and counted: events of the tenant that has most of them.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from pulse_temporal.errors import PulseError
from pulse_temporal.handlers.callables import check_callable, is_async, settled
from pulse_temporal.handlers.hooks import RunHook, StepHook
from pulse_temporal.handlers.threads import HandlerThreads
from pulse_temporal.model.runs import RunCompleteEvent, StepCompleteEvent
from pulse_temporal.notices import Repeats
from pulse_temporal.services.lines import Lines
from pulse_temporal.services.runs.waiting import RunWaiter
from pulse_temporal.store import runs, steps
from pulse_temporal.store.database import Database

log: logging.Logger = logging.getLogger(__name__)

Event = TypeVar("Event", StepCompleteEvent, RunCompleteEvent)

MOST_WAITING = 1_000
HOOK_TIMEOUT = timedelta(seconds=10)
DRAIN_PATIENCE = timedelta(seconds=5)
HOOK_THREADS = 4
"""Threads for hooks that are not async; one that hangs keeps its thread."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended, or with a path one of its steps."""

    run_id: str
    tenant_id: str
    path: str | None = None


class Observers:
    """Holds the hooks of one engine and calls them one event at a time.

    Attributes:
        waiter: Told at once of every run that ends here.
        dropped: Events that found no room.

    Raises:
        ConfigurationError: A hook cannot be called with an event.
    """

    def __init__(
        self,
        database: Database,
        waiter: RunWaiter,
        *,
        on_step: StepHook | None,
        on_run: RunHook | None,
    ) -> None:
        if on_step is not None:
            check_callable("Hook on_step_complete", on_step, given="StepCompleteEvent")
        if on_run is not None:
            check_callable("Hook on_run_complete", on_run, given="RunCompleteEvent")
        self.database = database
        self.waiter = waiter
        self.on_step = on_step
        self.on_run = on_run
        self.dropped = 0
        self._run_listeners: list[Callable[[str], None]] = []
        self._repeats = Repeats()
        self._waiting = Lines[Ended](MOST_WAITING)
        self._is_idle = asyncio.Event()
        self._threads = HandlerThreads(HOOK_THREADS)

    def listen_to_runs(self, listener: Callable[[str], None]) -> None:
        """Have a function of this engine called, at once, with the id of each run that ends here.

        It is called in the event loop; it must be quick, and must not raise.
        """
        self._run_listeners.append(listener)

    def steps_ended(self, run_id: str, *, tenant_id: str, paths: Iterable[str]) -> None:
        """Note that steps have ended; call it after the commit."""
        if self.on_step is not None:
            for path in paths:
                self._put(Ended(run_id, tenant_id, path))

    def run_ended(self, run_id: str, *, tenant_id: str) -> None:
        """Note that a run has ended; call it after the commit."""
        self.waiter.wake(run_id, tenant_id=tenant_id)
        for listener in self._run_listeners:
            listener(run_id)
        if self.on_run is not None:
            self._put(Ended(run_id, tenant_id))

    def begin(self) -> None:
        """Move into the running event loop, with the events that wait.

        Lines belong to the first loop that waited for them, and an engine may be started in
        another.
        """
        self._threads = HandlerThreads(HOOK_THREADS)
        self._is_idle = asyncio.Event()
        waiting, self._waiting = self._waiting, Lines[Ended](MOST_WAITING)
        for _ in range(len(waiting)):
            self._put(waiting.take())
        self._note_idleness()

    async def run(self) -> None:
        """Call hooks until canceled."""
        while True:
            await self.tick()

    async def tick(self) -> None:
        """Wait for one event and tell it to its hook."""
        await self._waiting.wait()
        ended = self._waiting.take()
        try:
            await self._tell(ended)
        except PulseError as error:
            facts = {
                "run_id": ended.run_id,
                "tenant_id": ended.tenant_id,
                "error": str(error),
            }
            if self._repeats.is_due(f"{error}"):
                log.warning(
                    "A hook was not called for run %(run_id)s of tenant %(tenant_id)s: %(error)s",
                    facts,
                    extra=facts,
                )
        finally:
            self._note_idleness()  # else drain() would wait for an event that is told

    async def drain(self) -> None:
        """Tell the events that wait, for a few seconds at most."""
        try:
            await asyncio.wait_for(self._is_idle.wait(), DRAIN_PATIENCE.total_seconds())
        except TimeoutError:
            facts = {"events": len(self._waiting), "seconds": DRAIN_PATIENCE.total_seconds()}
            log.warning(
                "Hooks did not end within %(seconds)g s after the stop; %(events)d events are not"
                " told to them.",
                facts,
                extra=facts,
            )
        self._threads.close()

    def _note_idleness(self) -> None:
        """Let ``drain`` end when nothing waits and nobody is being told."""
        if not self._waiting:
            self._is_idle.set()

    def _put(self, ended: Ended) -> None:
        self._is_idle.clear()
        dropped = self._waiting.put(ended.tenant_id, ended)
        if dropped is not None:
            self.dropped += 1
            facts = {
                "limit": MOST_WAITING,
                "dropped": self.dropped,
                "run_id": dropped.run_id,
                "tenant_id": dropped.tenant_id,
            }
            if self._repeats.is_due("lag"):
                log.warning(
                    "Hooks lag behind: %(limit)d events wait for them, so one of run %(run_id)s of"
                    " tenant %(tenant_id)s, which has most of them, is dropped (%(dropped)d since"
                    " the start). Let hooks return sooner.",
                    facts,
                    extra=facts,
                )

    async def _tell(self, ended: Ended) -> None:
        """Read what has ended and call its hook.

        For a step, neither the other steps nor their results are read: hooks on every step of
        a long run would otherwise cost the square of its length.
        """
        run_id, tenant_id, path = ended.run_id, ended.tenant_id, ended.path
        async with self.database.session() as session:
            if path is None:
                run = await runs.get_run(session, run_id, tenant_id=tenant_id)
                step = None
            else:
                run = await runs.get_run_as_kept(session, run_id, tenant_id=tenant_id)
                step = await steps.get_step(session, run_id, tenant_id=tenant_id, path=path)
        if run is None:
            return
        if path is None and self.on_run is not None:
            await self._call(self.on_run, RunCompleteEvent(run=run, status=run.status))
        if step is not None and self.on_step is not None:
            await self._call(self.on_step, StepCompleteEvent(run=run, step=step))

    async def _call(self, hook: Callable[[Event], Awaitable[None] | None], event: Event) -> None:
        """Call a hook; whatever it does stays here."""
        try:
            async with asyncio.timeout(HOOK_TIMEOUT.total_seconds()):
                await settled(
                    hook(event) if is_async(hook) else await self._call_in_thread(hook, event)
                )
        except asyncio.CancelledError as error:
            if _is_being_canceled():
                raise
            _hook_failed(event, error)  # an error of its own, such as an awaited task's
        except BaseException as error:  # noqa: BLE001 - hooks are foreign, and hurt nobody
            _hook_failed(event, error)

    async def _call_in_thread(
        self, hook: Callable[[Event], Awaitable[None] | None], event: Event
    ) -> object:
        """Call a hook that is not async in a thread of the hooks.

        The event loop's default threads are the application's: while it keeps them busy, no
        hook would be called.
        """
        async with self._threads.take(timeout=HOOK_TIMEOUT) as thread:
            if thread is None:
                if self._repeats.is_due("threads"):
                    log.warning(
                        "A hook was not called: all %d threads of hooks hang in earlier calls.",
                        HOOK_THREADS,
                    )
                return None
            context = contextvars.copy_context()
            return await thread.run(lambda: context.run(_call_here, hook, event))


def _call_here(
    hook: Callable[[Event], Awaitable[None] | None], event: Event
) -> Awaitable[None] | None:
    """Call a hook in a thread, which some errors must not leave.

    Thrown into a coroutine, ``GeneratorExit`` would end all that await it, the loop of the
    hooks included; for ``StopIteration`` the coroutine would wait for ever.
    """
    try:
        return hook(event)
    except BaseException as error:  # noqa: BLE001 - it must not leave the thread
        _hook_failed(event, error)
        return None


def _hook_failed(event: RunCompleteEvent | StepCompleteEvent, error: BaseException) -> None:
    """Log the error of a hook, which hurts neither the run nor later hooks."""
    facts = {
        "hook": "on_step_complete" if isinstance(event, StepCompleteEvent) else "on_run_complete",
        "run_id": event.run.id,
        "tenant_id": event.run.tenant_id,
    }
    log.error(
        "Hook %(hook)s failed for run %(run_id)s of tenant %(tenant_id)s.",
        facts,
        extra=facts,
        exc_info=error,
    )


def _is_being_canceled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
