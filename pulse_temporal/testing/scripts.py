"""Handlers that do what a test says and remember how they were called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pulse_temporal.handlers.context import WorkflowContext
from pulse_temporal.model.runs import ActionResult


@dataclass(kw_only=True)
class _Script:
    """What scripted handlers share.

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
class ScriptedAction(_Script):
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
class ScriptedCondition(_Script):
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
