"""The blocking engine has every method of the engine, and cannot hang."""

from __future__ import annotations

import asyncio
import inspect
import threading

import pytest

from pulse_temporal import ConfigurationError, Engine, create_engine
from pulse_temporal.handlers.threads import LoopThread, run_on_loop

ASYNC_ONLY = {"connection"}  # of emit: an asyncpg connection is of no use to a thread


def test_every_awaited_method_has_its_twin() -> None:
    blocking = create_engine("postgresql://nowhere").blocking
    methods = {
        name: method
        for name, method in inspect.getmembers(Engine, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert {"emit", "start", "wait_for_run", "next_runs"} <= set(methods)
    for name, method in methods.items():
        twin = getattr(blocking, name)
        theirs = [p for p in parameters(method)[1:] if p.name not in ASYNC_ONLY]
        ours = [p for p in parameters(twin) if p.name not in ASYNC_ONLY]
        assert ours == theirs, name
        assert inspect.getdoc(twin), name
        assert not inspect.iscoroutinefunction(twin), name


def parameters(function: object) -> list[inspect.Parameter]:
    assert callable(function)
    return list(inspect.signature(function).parameters.values())


async def hang() -> None:
    await asyncio.Event().wait()


def test_work_runs_in_the_other_thread() -> None:
    home = LoopThread()

    async def where() -> str:
        return threading.current_thread().name

    assert run_on_loop(home.loop, where, instead="") == "pulse-blocking"
    home.close()
    assert not home.is_alive


def test_a_loop_that_has_ended_is_an_error_and_no_wait() -> None:
    home = LoopThread()
    home.close()

    with pytest.raises(ConfigurationError, match="has ended"):
        run_on_loop(home.loop, hang, instead="")


def test_a_loop_that_ends_meanwhile_lets_go_of_its_callers() -> None:
    home = LoopThread()
    reached = threading.Event()

    async def reach_and_hang() -> None:
        reached.set()
        await hang()

    def close() -> None:
        reached.wait()
        home.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(ConfigurationError, match="has ended"):
        run_on_loop(home.loop, reach_and_hang, instead="")
    closer.join()


def test_a_thread_ends_when_nobody_knows_it_any_more() -> None:
    home = LoopThread()
    (thread,) = [one for one in threading.enumerate() if one.name == "pulse-blocking"]

    del home

    assert not thread.is_alive()
