"""Handlers that do what a test says and remember how they were called."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from typing_extensions import override

from pulse_temporal.handlers.context import WorkflowContext
from pulse_temporal.model.runs import ActionResult

PATIENCE = timedelta(seconds=10)
POLL_SECONDS = 0.005


@dataclass(kw_only=True)
class Probe:
    """What every scripted handler and every gate lets a test see: its calls, and their end.

    Attributes:
        name: Under which it is registered.
        fails: So many calls fail before one succeeds; None: with ``raises`` all of them, else
            none.
        raises: What a failing call raises; by default a ``RuntimeError``, which is retried.
        calls: What each call was given, oldest first; ``calls[0].config`` and so on.
    """

    name: str
    fails: int | None = None
    raises: Exception | None = None
    calls: list[WorkflowContext] = field(default_factory=list[WorkflowContext])

    @property
    def call_count(self) -> int:
        """How often it was called, in all runs and with all attempts."""
        return len(self.calls)

    async def called(self, *, times: int = 1, within: timedelta = PATIENCE) -> None:
        """Wait until it was called so often; it may still be at work.

        Raises:
            TimeoutError: It was not, ``within`` that time; says how often it was.
        """
        try:
            async with asyncio.timeout(within.total_seconds()):
                while self.call_count < times:  # noqa: ASYNC110 - the handler may have another loop
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(
                f"{self.name!r} was called {self.call_count} times in "
                f"{within.total_seconds():g} s, not {times} times."
            ) from error

    def _begin(self, ctx: WorkflowContext) -> int:
        """Note a call; fail, or give how many calls succeeded before this one."""
        self.calls.append(ctx)
        number = len(self.calls)
        fails = self.fails
        if fails is None:
            fails = 0 if self.raises is None else number
        if number <= fails:
            raise self.raises or RuntimeError(f"{self.name} fails as scripted")
        return number - fails - 1


@dataclass(kw_only=True)
class ScriptedAction(Probe):
    """An action as a test wants it; see ``PulseTestEnvironment.script_action``.

    Attributes:
        returns: What a call that succeeds returns.
    """

    returns: ActionResult | Mapping[str, object] | None = None

    async def __call__(self, ctx: WorkflowContext) -> ActionResult | Mapping[str, object] | None:
        """Be the handler."""
        self._begin(ctx)
        return self.returns


@dataclass(kw_only=True)
class Gate(ScriptedAction):
    """An action that waits, once it is called, until the test opens it.

    Shows a run in the middle of a step, without a pause in the test; see
    ``PulseTestEnvironment.script_gate``. ``open`` belongs into the event loop of the engine.
    """

    _opened: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @override
    async def __call__(self, ctx: WorkflowContext) -> ActionResult | Mapping[str, object] | None:
        """Be the handler."""
        self._begin(ctx)
        await self._opened.wait()
        return self.returns

    async def reached(self) -> None:
        """Wait until a run has come here.

        Raises:
            TimeoutError: None did within ten seconds.
        """
        await self.called()

    def open(self) -> None:
        """Let everybody pass, now and later."""
        self._opened.set()


@dataclass(kw_only=True)
class ScriptedCondition(Probe):
    """A condition as a test wants it; see ``PulseTestEnvironment.script_condition``.

    Attributes:
        returns: Its answer; or the answers to the first, second … call, the last one for all
            that follow.
    """

    returns: bool | Sequence[bool] = True

    async def __call__(self, ctx: WorkflowContext) -> bool:
        """Be the handler."""
        before = self._begin(ctx)
        answers = [self.returns] if isinstance(self.returns, bool) else self.returns
        return answers[min(before, len(answers) - 1)]
