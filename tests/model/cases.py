"""What the model plays: a definition, and what its handlers do at each call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import ClassVar, Literal, TypeAlias

from pydantic import TypeAdapter
from typing_extensions import override

from pulse_temporal import WorkflowStep
from pulse_temporal.model.values import JsonObject

Failure = Literal[
    "raises", "raises for good", "refuses", "refuses for good", "asks for a pause", "hangs"
]
"""How an attempt fails; conditions cannot refuse."""

BAD_RESULTS: Mapping[str, Callable[[], object]] = {
    "set": lambda: {"n": {1}},
    "NaN": lambda: {"n": float("nan")},
    "65 bits": lambda: {"n": 2**63},
    "NUL": lambda: {"n": "a\0b"},
    "NUL in a key": lambda: {"a\0b": 1},
    "lone surrogate": lambda: {"n": "\ud800"},
    "number as key": lambda: {1: "n"},
    "too deep": lambda: _nested(65),
    "too large": lambda: {"n": "x" * 2**18},
    "text": lambda: "done",
    "true": lambda: True,
}
"""What an action must not return, by name."""

BAD_ANSWERS: Mapping[str, Callable[[], object]] = {
    "null": lambda: None,
    "1": lambda: 1,
    "word": lambda: "true",
    "object": lambda: {"value": True},
    "set of true": lambda: {True},
}
"""What a condition must not return, by name."""


def _nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = {"n": value}
    return value


class _Brief:
    """Written as a call with those arguments only that differ from the defaults."""

    @override
    def __repr__(self) -> str:
        told: list[str] = []
        for known in fields(self):  # pyright: ignore[reportArgumentType] - subclasses are dataclasses
            value: object = getattr(self, known.name)
            default: object = known.default
            if known.default_factory is not MISSING:
                default = known.default_factory()
            if value != default or type(value) is not type(default):
                told.append(f"{known.name}={value!r}")
        return f"{type(self).__name__}({', '.join(told)})"


@dataclass(frozen=True, repr=False)
class Ok(_Brief):
    """An action succeeds.

    Attributes:
        data: What it returns.
        emits: Types of the signals that it emits before, in order.
    """

    data: JsonObject | None = None
    emits: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Answer(_Brief):
    """A condition answers."""

    value: bool = True
    emits: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Fail(_Brief):
    """An attempt fails."""

    how: Failure = "raises"
    emits: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Bad(_Brief):
    """A handler returns what it must not: a name in ``BAD_RESULTS`` or ``BAD_ANSWERS``."""

    what: str
    emits: tuple[str, ...] = ()


Move: TypeAlias = Ok | Answer | Fail | Bad
Script: TypeAlias = Mapping[str, Sequence[Move]]
"""What is done at each call for a step, by its name; calls beyond it succeed, or answer True."""


@dataclass(frozen=True, repr=False)
class Case(_Brief):
    """A definition, a script, and what is asked of the engine.

    Attributes:
        steps: The definition's steps, as JSON. Actions are ``uses`` one of ``ACTIONS``,
            conditions one of ``CONDITIONS``.
        script: What the handlers do, over all runs of the case.
        retries: So often a failed run is retried.
        replays: What follows when the run is over, in order.
    """

    ACTIONS: ClassVar[tuple[str, ...]] = ("act", "act_sync", "act_safe", "act_in_transaction")
    CONDITIONS: ClassVar[tuple[str, ...]] = ("ask", "ask_sync")

    steps: Sequence[Mapping[str, object]]
    script: Script = field(default_factory=dict[str, Sequence[Move]])
    retries: int = 0
    replays: tuple[Literal["replay", "dry run"], ...] = ()

    def parsed(self) -> list[WorkflowStep]:
        """Return the steps as the library reads them."""
        return _STEPS.validate_python(self.steps)

    def moves(self, step: str) -> Iterator[Move | None]:
        """Yield what is done at each call for a step; None for ever when the script ends."""
        yield from self.script.get(step, ())
        while True:
            yield None

    def as_test(self) -> str:
        """Write a test that plays this case."""
        return (
            "\nasync def test_a_case_that_was_found(stage: Stage) -> None:\n"
            "    await stage.check(\n"
            f"        {self!r}\n"
            "    )\n"
        )


_STEPS: TypeAdapter[list[WorkflowStep]] = TypeAdapter(list[WorkflowStep])
