"""What `import pulse_temporal` offers: names, types for annotations, the version."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version

import pytest

import pulse_temporal
from pulse_temporal import (
    BlockingDefinitions,
    BlockingEngine,
    BlockingRuns,
    BlockingSignals,
    BlockingTenant,
    Engine,
    EngineDefinitions,
    EngineRuns,
    EngineSignals,
    TenantEngine,
    WorkflowContext,
    create_engine,
    engine_from_environment,
    types,
)

PARTS = (
    *(Engine, EngineRuns, EngineDefinitions, EngineSignals, TenantEngine),
    *(BlockingEngine, BlockingRuns, BlockingDefinitions, BlockingSignals, BlockingTenant),
    WorkflowContext,
)

STRANGERS = {
    *("None", "Self", "Unpack", "Callable", "Mapping", "Sequence", "Collection"),
    *("AsyncGenerator", "Awaitable", "Coroutine", "Client", "BaseModel"),
    *("AnyAction", "AnyCondition", "Answer"),
}
"""What is not ours, and type variables."""


def test_the_version_is_that_of_the_installed_package() -> None:
    assert pulse_temporal.__version__ == version("pulse-workflows")


def test_dir_lists_what_is_imported_when_it_is_asked_for() -> None:
    listing = (
        "import pulse_temporal, sys; print(*dir(pulse_temporal), 'temporalio' in sys.modules)"
    )
    told = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(pulse_temporal.__all__) <= set(told)
    assert told[-1] == "False"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'pulse_temporal' has no attribute 'Pulse'"):
        _ = vars(pulse_temporal)["__getattr__"]("Pulse")


@pytest.mark.parametrize("name", types.__all__)
def test_a_type_for_annotations_is_there(name: str) -> None:
    assert getattr(types, name) is not None


def test_no_signature_needs_a_type_that_is_private() -> None:
    """Whoever wraps a method can write down the types of its parameters and its answer."""
    public = {*pulse_temporal.__all__, *types.__all__}
    missing: set[str] = set()
    for function in public_functions():
        for annotation in inspect.get_annotations(function).values():
            missing |= {*re.findall(r"\b[A-Z]\w+", str(annotation))} - public - STRANGERS
    assert not missing


def public_functions() -> list[Callable[..., object]]:
    found: list[Callable[..., object]] = [create_engine, engine_from_environment]
    for part in PARTS:
        found += [
            member
            for name, member in inspect.getmembers(part, inspect.isfunction)
            if not name.startswith("_")
        ]
    return found


def test_a_tenant_is_always_given_by_name() -> None:
    """An id that is passed by place could narrow a question to nobody."""
    narrowing = [
        parameter
        for function in public_functions()
        if function.__name__ != "for_tenant"
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name == "tenant_id"
    ]
    assert len(narrowing) > 10
    assert {parameter.kind for parameter in narrowing} == {inspect.Parameter.KEYWORD_ONLY}
