"""`engine.runs`, `engine.definitions` and `engine.signals`, and the flat names beside them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import get_type_hints

import pytest
from pydantic import BaseModel

from pulse_temporal import (
    Engine,
    EngineDefinitions,
    EngineRuns,
    EngineSignals,
    InvalidInputError,
    RunFilter,
    RunSummaryFilter,
    SignalFilter,
    TenantEngine,
    create_engine,
)
from pulse_temporal.engine.flat import FlatMethods
from pulse_temporal.types import RunFilterFields, RunSummaryFilterFields, SignalFilterFields

NAMESPACES = {"runs": EngineRuns, "definitions": EngineDefinitions, "signals": EngineSignals}
TARGET = re.compile(r"``(?P<namespace>runs|definitions|signals)\.(?P<method>\w+)(?:\([^`]*\))?``")
NEW = {
    *("runs.iterate", "runs.watch", "runs.snapshot"),
    *("definitions.iterate", "definitions.activity"),
}
"""Methods that the TypeScript Pulse has no name for."""

LISTS = {"list_runs", "get_runs_by_trigger", "get_failed_runs"}
"""Flat names that take other arguments than ``runs.list``."""


def methods_of(kind: type[object]) -> dict[str, Callable[..., object]]:
    return {
        name: function
        for name, function in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


FLAT = methods_of(FlatMethods)


def target_of(flat_name: str) -> str:
    found = TARGET.search(inspect.getdoc(FLAT[flat_name]) or "")
    assert found is not None, flat_name
    return f"{found['namespace']}.{found['method']}"


@pytest.mark.parametrize("flat_name", sorted(FLAT.keys() - LISTS))
def test_a_flat_name_takes_and_gives_what_its_method_does(flat_name: str) -> None:
    namespace, _, method = target_of(flat_name).partition(".")
    flat, target = FLAT[flat_name], methods_of(NAMESPACES[namespace])[method]
    assert inspect.signature(flat).parameters == inspect.signature(target).parameters
    assert get_type_hints(flat) == get_type_hints(target)


def test_every_method_of_a_namespace_has_a_flat_name() -> None:
    methods = {
        f"{name}.{method}" for name in NAMESPACES for method in methods_of(NAMESPACES[name])
    }
    assert {target_of(name) for name in FLAT} == methods - NEW


@pytest.mark.parametrize(
    ("fields", "chosen"),
    [
        (RunFilterFields, RunFilter),
        (RunSummaryFilterFields, RunSummaryFilter),
        (SignalFilterFields, SignalFilter),
    ],
)
def test_a_list_takes_the_fields_of_its_filter_by_name(
    fields: type[object], chosen: type[BaseModel]
) -> None:
    assert get_type_hints(fields) == {
        name: kind for name, kind in get_type_hints(chosen).items() if name in chosen.model_fields
    }


@pytest.fixture
def engine() -> Engine:
    return create_engine("postgresql://nowhere")


def test_a_tenants_view_has_the_same_namespaces(engine: Engine) -> None:
    acme = engine.for_tenant("acme")
    for name, kind in NAMESPACES.items():
        for view in (engine, acme):
            assert type(getattr(view, name)) is kind


def narrowing(view: object) -> dict[str, Callable[..., object]]:
    """Return the methods that take the tenant's id, some of them as a field of a filter."""
    return {
        name: getattr(view, name)
        for name, function in methods_of(type(view)).items()
        if {"tenant_id", "wanted", "fields"} & inspect.signature(function).parameters.keys()
    }


@pytest.mark.parametrize("namespace", ["", *NAMESPACES])
async def test_no_method_leaves_the_tenant(engine: Engine, namespace: str) -> None:
    """The refusal comes before anything is asked, so no server is needed."""
    acme = engine.for_tenant("acme")
    view: TenantEngine | object = getattr(acme, namespace) if namespace else acme
    methods = narrowing(view)
    assert methods
    for method in methods.values():
        needed = [
            f"{parameter.name} of another"
            for parameter in inspect.signature(method).parameters.values()
            if parameter.default is inspect.Parameter.empty
            and parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        ]
        named = {
            parameter.name: ["of another"]
            for parameter in inspect.signature(method).parameters.values()
            if parameter.default is inspect.Parameter.empty
            and parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        with pytest.raises(InvalidInputError, match="'acme', not for 'globex'"):
            await ask(method(*needed, **named, tenant_id="globex"))


async def ask(called: object) -> None:
    if inspect.isasyncgen(called):
        await anext(called)
    else:
        assert inspect.isawaitable(called)
        await called
