"""Run async code from threads, and sync handlers in threads."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import CancelledError, Future, wait
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from queue import SimpleQueue
from typing import TypeVar

from pulse_temporal.errors import ConfigurationError

Answer = TypeVar("Answer")

LOOK_EVERY = timedelta(seconds=1)
"""How often a waiting thread checks that the loop still runs: a loop that ends may leave a future
without an answer, for which it would wait for ever."""

LAST_WAIT = timedelta(seconds=10)
"""How long the end of a loop may take before its thread is left behind."""


def run_on_loop(
    loop: asyncio.AbstractEventLoop, work: Callable[[], Awaitable[Answer]], *, instead: str
) -> Answer:
    """Run async work on the loop of another thread, and return or raise what comes of it.

    Args:
        loop: The event loop of another thread.
        work: Called on that loop and awaited there.
        instead: What to write when the caller is in an event loop itself, for the error.

    Raises:
        ConfigurationError: An event loop runs in this thread, or the other one has ended.
    """
    refuse_event_loop(instead=instead)

    async def run() -> Answer:
        return await work()

    running = run()
    try:
        future = asyncio.run_coroutine_threadsafe(running, loop)
    except RuntimeError as error:
        running.close()
        raise _ended() from error
    try:
        while not wait({future}, LOOK_EVERY.total_seconds()).done:
            _check_alive(loop)
        return future.result()
    except CancelledError as error:  # a loop that ends cancels its tasks
        raise _ended() from error
    except BaseException:  # Ctrl-C in a script must end the work too, not only the waiting
        future.cancel()
        raise


def refuse_event_loop(*, instead: str) -> None:
    """Check that no event loop runs in this thread.

    Raises:
        ConfigurationError: One does: waiting would block it, and for ever if the work needs it.
    """
    if running_loop() is not None:
        raise ConfigurationError(
            f"This call blocks, and an event loop runs in this thread. {instead}"
        )


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread; None when there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _check_alive(loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_running():
        raise _ended()


def _ended() -> ConfigurationError:
    return ConfigurationError("The event loop that this call needs has ended.")


@dataclass(frozen=True, slots=True)
class _Home:
    """A running event loop, and the event that ends it."""

    loop: asyncio.AbstractEventLoop
    ended: asyncio.Event


class LoopThread:
    """An event loop in a thread of its own; ends when closed, garbage collected, or at exit.

    Attributes:
        loop: The event loop, for ``run_on_loop``.
        close: Ends the loop and the thread; does nothing when they have ended.
    """

    def __init__(self) -> None:
        born: Future[_Home] = Future()
        self._thread = threading.Thread(
            target=_live, args=(born,), name="pulse-blocking", daemon=True
        )
        self._thread.start()
        home = born.result()
        self.loop: asyncio.AbstractEventLoop = home.loop
        # Functions of this module as target and finalizer, not methods: a reference to `self`
        # would keep it from ever being collected.
        self.close = weakref.finalize(self, _end, home, self._thread)

    @property
    def is_alive(self) -> bool:
        """Whether the loop runs; not in a forked child, which has no copy of the thread."""
        return self._thread.is_alive()


def _live(born: Future[_Home]) -> None:
    async def live() -> None:
        home = _Home(asyncio.get_running_loop(), asyncio.Event())
        born.set_result(home)
        await home.ended.wait()

    asyncio.run(live())


def _end(home: _Home, thread: threading.Thread) -> None:
    if thread.is_alive():
        home.loop.call_soon_threadsafe(home.ended.set)
        thread.join(LAST_WAIT.total_seconds())


class HandlerThread:
    """A thread that calls one handler after the other; a daemon, so no process waits for it.

    Args:
        give_back: Called in the event loop whenever a call has ended.

    Attributes:
        calls: Number of calls that it was given.
    """

    def __init__(self, give_back: Callable[[HandlerThread], None]) -> None:
        self.calls = 0
        self._give_back = give_back
        self._inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._live, name="pulse-handler", daemon=True)
        self._thread.start()

    @property
    def ident(self) -> int | None:
        """The thread's identifier in ``threading``; None before it has started."""
        return self._thread.ident

    async def run(self, work: Callable[[], object]) -> object:
        """Call ``work`` in this thread and return or raise what comes of it.

        When the caller is canceled, the call goes on: a thread cannot be interrupted. It is
        given back when the call has really ended.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[object] = loop.create_future()

        def settle(result: object, error: BaseException | None) -> None:
            self._give_back(self)
            if answer.done():  # the caller was canceled
                return
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

        def call() -> None:
            result: object = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as raised:  # noqa: BLE001 - raised again where it is awaited
                error = raised
            try:
                loop.call_soon_threadsafe(settle, result, error)
            except RuntimeError:  # the loop has ended
                self.end()

        self.calls += 1
        self._inbox.put(call)
        return await answer

    def end(self) -> None:
        """End the thread after the calls that it was given."""
        self._inbox.put(None)

    def _live(self) -> None:
        while call := self._inbox.get():
            call()
            del call  # an idle thread must not keep the objects of its last call alive


class HandlerThreads:
    """Threads for handlers that are not async; a handler that hangs keeps its thread.

    A ``ThreadPoolExecutor`` will not do: it waits for its threads at exit, and queues calls
    behind threads that hang, so that attempts run out of time before they are made
    (``tests/integration/test_handlers_that_hang.py``).

    Args:
        size: Largest number of threads.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = asyncio.Semaphore(size)
        self._idle: list[HandlerThread] = []
        self._is_closed = False

    @asynccontextmanager
    async def take(self, *, timeout: timedelta) -> AsyncGenerator[HandlerThread | None]:
        """Lend a thread for one call; yield None when none is free in time."""
        if not await self._is_free(timeout):
            yield None
            return
        try:
            thread = self._idle.pop() if self._idle else HandlerThread(self._give_back)
        except RuntimeError:  # the system gives no more threads
            self._free.release()
            raise
        before = thread.calls
        try:
            yield thread
        finally:
            if thread.calls == before:  # not used; otherwise it comes back when its call ends
                self._give_back(thread)

    def close(self) -> None:
        """End the threads: idle ones now, the others after their calls."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().end()

    async def _is_free(self, timeout: timedelta) -> bool:
        """Wait for a free place and take it; return False when there is none in time."""
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await self._free.acquire()
        except TimeoutError:
            return False

    def _give_back(self, thread: HandlerThread) -> None:
        self._free.release()
        if self._is_closed:
            thread.end()
        else:
            self._idle.append(thread)
