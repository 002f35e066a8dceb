"""Write steps in short; each builder returns the mapping that a definition takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypeAlias

StepLike: TypeAlias = str | Mapping[str, object]
"""A step, or the name of an action that needs nothing else."""


def action(name: str, **fields: object) -> dict[str, object]:
    """Return an action step.

    Args:
        name: Of the step, and of its handler unless ``uses`` names another.
        fields: Of ``ActionStep``: ``config={"to": "ops"}``, ``retryPolicy={"maxAttempts": 3}``.
    """
    return {"type": "action", "name": name, **fields}


def condition(name: str, **fields: object) -> dict[str, object]:
    """Return a condition step.

    Args:
        name: Of the step, and of its handler unless ``uses`` names another.
        fields: Of ``ConditionStep``, such as ``onFalse="skip"``.
    """
    return {"type": "condition", "name": name, **fields}


def delay(name: str, duration: timedelta | int) -> dict[str, object]:
    """Return a delay step.

    Args:
        name: Of the step.
        duration: A number is in milliseconds.
    """
    if isinstance(duration, timedelta):
        duration = duration // timedelta(milliseconds=1)
    return {"type": "delay", "name": name, "delayMs": duration}


def parallel(name: str, *branches: Sequence[StepLike]) -> dict[str, object]:
    """Return a parallel step.

    Args:
        name: Of the step.
        branches: The steps of each branch; a text is the action of that name.
    """
    return {"type": "parallel", "name": name, "branches": [list_of(*steps) for steps in branches]}


def list_of(*steps: StepLike) -> list[Mapping[str, object]]:
    """Return the steps of a definition or a branch; a text is the action of that name."""
    return [action(step) if isinstance(step, str) else step for step in steps]
