"""Types of the application's hooks, which are called when steps and runs end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from pulse_temporal.model.runs import RunCompleteEvent, StepCompleteEvent

StepHook: TypeAlias = Callable[[StepCompleteEvent], Awaitable[None] | None]
RunHook: TypeAlias = Callable[[RunCompleteEvent], Awaitable[None] | None]
