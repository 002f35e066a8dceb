"""The blocking engine has every method of the engine, and cannot hang."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import assert_type

import pytest

from pulse_temporal import (
    BlockingDefinitions,
    BlockingEngine,
    BlockingRuns,
    BlockingSignals,
    BlockingTenant,
    ConfigurationError,
    Engine,
    EngineDefinitions,
    EngineRuns,
    EngineSignals,
    Page,
    TenantEngine,
    TriggerEnvelope,
    WorkflowDefinition,
    WorkflowRun,
)
from pulse_temporal.handlers.threads import LoopThread, run_on_loop

PAIRS = [
    (Engine, BlockingEngine),
    (TenantEngine, BlockingTenant),
    (EngineRuns, BlockingRuns),
    (EngineDefinitions, BlockingDefinitions),
    (EngineSignals, BlockingSignals),
]
OF_BLOCKING_ALONE = {"call", "for_tenant"}


@pytest.mark.parametrize(("awaited", "blocking"), PAIRS)
def test_every_awaited_method_has_its_twin_and_the_other_way_round(
    awaited: type[object], blocking: type[object]
) -> None:
    methods = {name: method for name, method in functions_of(awaited) if is_awaited(method)}
    twins = dict(functions_of(blocking))
    assert len(methods) > 3
    assert methods.keys() == twins.keys() - OF_BLOCKING_ALONE
    for name, method in methods.items():
        assert inspect.signature(twins[name]).parameters == inspect.signature(method).parameters
        assert inspect.getdoc(twins[name]), name
        assert not inspect.iscoroutinefunction(twins[name]), name
        assert not inspect.isasyncgenfunction(twins[name]), name


def functions_of(kind: type[object]) -> list[tuple[str, Callable[..., object]]]:
    return [
        (name, function)
        for name, function in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    ]


def is_awaited(method: object) -> bool:
    return inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)


def read(engine: BlockingEngine) -> None:
    """Never called: the type checker knows what each blocking method takes and gives."""
    assert_type(engine.emit({}), TriggerEnvelope)
    assert_type(engine.migrate(), list[str])
    assert_type(engine.get_run("run_x", tenant_id="acme"), WorkflowRun | None)
    assert_type(engine.runs.wait("run_x", 5.0), WorkflowRun)
    assert_type(engine.runs.list(status="failed"), Page[WorkflowRun])
    assert_type(engine.runs.iterate(status="failed"), Iterator[WorkflowRun])
    assert_type(engine.for_tenant("acme").definitions.list(), Page[WorkflowDefinition])
    engine.runs.cancel(run_id=5)  # pyright: ignore[reportArgumentType] - what a mistake looks like
    engine.get_run("run_x", "acme")  # pyright: ignore[reportCallIssue] - what a mistake looks like


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
