"""Do the same to several ids: ask first, then a line for each, and one exit code for all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from pulse_temporal.cli.connection import Pulse, with_pulse
from pulse_temporal.cli.exits import Exit, describe, exit_for
from pulse_temporal.cli.ids import full_id
from pulse_temporal.cli.output import Output
from pulse_temporal.cli.paragraphs import printable
from pulse_temporal.errors import PulseError
from pulse_temporal.model.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What is done to each id.

    Attributes:
        verb: As a question, such as ``Cancel``.
        done: As a report, such as ``canceled``.
        noun: What the ids are of, such as ``run``.
        act: Does it to one.
        advise: Says what helps when it was refused; ``""`` when nothing is known.
        always_asks: It cannot be undone, so it asks for one id too.
    """

    verb: str
    done: str
    noun: Literal["run", "definition", "key"]
    act: Callable[[Pulse, str], Awaitable[object]]
    advise: Callable[[Pulse, str, PulseError], Awaitable[str]]
    always_asks: bool = False


async def no_advice(_pulse: Pulse, _id: str, _error: PulseError) -> str:
    """Know nothing that helps."""
    return ""


class ActedOn(Value):
    """What a command did to one id, as JSON.

    Attributes:
        outcome: What was done, or ``refused``.
        code: Of the error.
        message: Of the error.
    """

    id: str
    outcome: str
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Declined:
    """Why one id was not acted on, and what helps."""

    error: PulseError
    advice: str


def act_on(out: Output, ids: Sequence[str], deed: Deed) -> int:
    """Act on each id once and return the exit code.

    It goes on after a refusal. When all refusals are of one kind, the exit code is theirs.

    Raises:
        UsageError: It needs a yes, and there is none.
        PulseError: Postgres cannot be reached.
    """
    chosen = list(dict.fromkeys(ids))
    if len(chosen) > 1 or deed.always_asks:
        what = chosen[0] if len(chosen) == 1 else f"these {len(chosen)} {deed.noun}s"
        out.confirm(f"{deed.verb} {what}?")

    async def work(pulse: Pulse) -> dict[str, Declined | None]:
        return {
            each: await _try(out, pulse, each, deed, alone=len(chosen) == 1) for each in chosen
        }

    outcomes = with_pulse(out.options, work)
    if out.options.output == "json":
        out.data([_outcome(each, refusal, deed) for each, refusal in outcomes.items()])
    refusals = [refusal for refusal in outcomes.values() if refusal]
    codes = {exit_for(refusal.error) for refusal in refusals}
    if not codes:
        return Exit.OK
    if len(chosen) > 1:
        out.note(f"{len(chosen) - len(refusals)} {deed.done}, {len(refusals)} not.")
    return codes.pop() if len(codes) == 1 else Exit.FAILED


async def _try(
    out: Output, pulse: Pulse, each: str, deed: Deed, *, alone: bool
) -> Declined | None:
    """Act on one id, tell it, and return why it was refused."""
    refusal = None
    try:
        if deed.noun != "key":  # a key is not found by a search: its id is given in full
            each = await full_id(pulse, each, deed.noun)
        await deed.act(pulse, each)
    except PulseError as error:
        if exit_for(error) == Exit.UNREACHABLE:
            raise
        refusal = Declined(error, await deed.advise(pulse, each, error))
    _tell(out, each, refusal, deed, alone=alone)
    return refusal


def _tell(out: Output, each: str, refusal: Declined | None, deed: Deed, *, alone: bool) -> None:
    if out.options.output == "jsonl":
        out.json_lines([_outcome(each, refusal, deed)])
    elif refusal is None:
        if out.is_table:
            out.line(Text.assemble(("✓ ", "green"), printable(each), f" {deed.done}"))
    elif alone or not out.is_table:
        advice = [refusal.advice] if refusal.advice else []
        out.errors.print(describe(refusal.error, advice=advice), soft_wrap=True)
    else:
        reason = str(refusal.error).partition("\n")[0]
        out.line(
            Text.assemble(
                ("✗ ", "red"),
                f"{printable(each)} not {deed.done}: {printable(reason)}",
                (f"  {refusal.advice}" if refusal.advice else "", "dim"),
            )
        )


def _outcome(each: str, refusal: Declined | None, deed: Deed) -> ActedOn:
    if refusal is None:
        return ActedOn(id=each, outcome=deed.done)
    return ActedOn(id=each, outcome="refused", code=refusal.error.code, message=str(refusal.error))
