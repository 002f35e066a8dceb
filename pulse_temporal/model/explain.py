"""Why a signal did or did not start a run of a definition: verdicts, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Literal

from pydantic import AwareDatetime

from pulse_temporal.model.signals import TriggerInput
from pulse_temporal.model.values import Value

VerdictKind = Literal[
    "matched",
    "created_later",
    "changed_then",
    "deleted",
    "type",
    "disabled",
    "environment",
    "resource_type",
    "cron_owned",
    "not_adopted",
]
"""Why a definition was or was not started; where several hold, the first of them."""

SignalOutcome = Literal["deduplicated", "unregistered", "over_limits", "no_definitions"]
"""What decides about a signal as a whole, whatever its definitions say."""

MOST_NEAR = 3


class Verdict(Value):
    """What a signal did, or would do, with one definition.

    Attributes:
        definition_name: As it is called now.
        version: Of the definition as of the signal; None when that is not on record.
        verdict: ``matched``: a run of it was started, or would be. Else why not: it was
            ``created_later``; it was ``deleted`` before; it waited for another ``type``; it was
            ``disabled``; it wants another ``environment`` or ``resource_type``; the signal is a
            tick of another definition and it has a cron of its own (``cron_owned``); it is of the
            TypeScript Pulse and ``not_adopted``; ``changed_then``: it was changed about that
            moment, or what it was then is not on record.
        reason: The same in words, with everything that kept it from matching.
        run_id: Of the run that was started.
    """

    definition_id: str
    definition_name: str
    version: int | None = None
    verdict: VerdictKind
    reason: str
    run_id: str | None = None


class Explanation(Value):
    """Why a signal started what it did, or what it would start now.

    Attributes:
        signal_id: Of a stored signal; None: it is not stored, and everything is as of now. Of a
            ``deduplicated`` one, the id of the first signal, which can be explained in turn.
        at: The moment of which it tells, UTC.
        outcome: What decides about the signal as a whole: an earlier one has its idempotency key
            (``deduplicated``); this process refuses its type (``unregistered``); it would start
            more than the limits allow (``over_limits``); nothing waits for its type
            (``no_definitions``). None: its definitions decide.
        reason: The outcome in words.
        runs: How many runs it has started, replays left out, or would start.
        verdicts: Those that matched first, then by age; at most 200.
        others: Definitions that might be meant too and are not listed.
    """

    signal_id: str | None = None
    at: AwareDatetime
    outcome: SignalOutcome | None = None
    reason: str | None = None
    runs: int = 0
    verdicts: tuple[Verdict, ...] = ()
    others: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A definition that a signal might start, as it was at the signal's moment.

    Attributes:
        version: None when what it was then is not on record.
        trigger_type: What it waited for, and so on with the other filters.
        run_id: Of the run of it that a stored signal has started.
        run_version: Of the definition that this run has frozen.
        is_on: Enabled and not deleted, or the owner of the tick.
        is_planned: This engine has read its steps.
        fits: All of them together: emit starts it.
    """

    id: str
    name: str
    created_at: datetime
    version: int | None
    deleted_at: datetime | None
    trigger_type: str | None
    environment_filter: str | None
    resource_type_filter: str | None
    run_id: str | None
    run_version: int | None
    fits: bool
    is_of_type: bool
    is_on: bool
    is_planned: bool
    fits_environment: bool
    fits_resource_type: bool
    heeds_the_tick: bool


def verdict_of(candidate: Candidate, signal: TriggerInput, *, since: datetime | None) -> Verdict:
    """Return what a signal did, or would do, with a definition.

    Whether a stored signal has started a run is never guessed: the run is on record.

    Args:
        candidate: The definition as it was.
        signal: The signal.
        since: Moment of a signal that is stored; None: it is not.
    """
    if candidate.run_id is not None:
        version = candidate.run_version or candidate.version
        return _verdict(candidate, "matched", "started a run", version=version)
    if since is None and candidate.fits:
        return _verdict(candidate, "matched", "would start a run", version=candidate.version)
    kind, reason = _refusal(candidate, signal, since=since)
    return _verdict(candidate, kind, reason, version=candidate.version)


def near_types(type_: str, known: Iterable[str]) -> list[str]:
    """Return the types of signals that a misspelled one may stand for, most alike first."""
    others = [each for each in known if each != type_]
    by_shape = {each.casefold(): each for each in others}
    near = get_close_matches(type_.casefold(), by_shape, n=MOST_NEAR, cutoff=0.75)
    return [by_shape[each] for each in near]


def _refusal(
    candidate: Candidate, signal: TriggerInput, *, since: datetime | None
) -> tuple[VerdictKind, str]:
    """Return why a definition was not started."""
    if since is not None and candidate.created_at > since:
        return "created_later", "was created after the signal"
    if candidate.version is None:
        return "changed_then", "was changed since, and what it was then is not on record"
    found = list(_differences(candidate, signal))
    if not found:
        return "changed_then", "was changed at about the moment of the signal"
    return found[0][0], "; ".join(reason for _, reason in found)


def _differences(candidate: Candidate, signal: TriggerInput) -> Iterable[tuple[VerdictKind, str]]:
    """Yield what keeps a definition from matching, the most telling first."""
    if candidate.deleted_at is not None:
        yield "deleted", f"was deleted on {candidate.deleted_at:%Y-%m-%d at %H:%M:%S} UTC"
        return
    if not candidate.is_of_type:
        yield "type", f'waits for "{candidate.trigger_type}", the signal is "{signal.type}"'
    if not candidate.is_on:
        yield "disabled", "is disabled"
    if not candidate.fits_environment:
        wanted, sent = candidate.environment_filter, signal.environment
        yield "environment", f'wants environment "{wanted}", the signal has {_quoted(sent)}'
    if not candidate.fits_resource_type:
        wanted, sent = candidate.resource_type_filter, signal.resource_type
        yield "resource_type", f'wants resource type "{wanted}", the signal has {_quoted(sent)}'
    if not candidate.heeds_the_tick:
        yield "cron_owned", "has a cron of its own, and the signal is a tick of another one's"
    if not candidate.is_planned:
        yield "not_adopted", "was written by the TypeScript Pulse; migrate makes it known here"


def _quoted(sent: str | None) -> str:
    return "none" if sent is None else f'"{sent}"'


def _verdict(
    candidate: Candidate, kind: VerdictKind, reason: str, *, version: int | None
) -> Verdict:
    return Verdict(
        definition_id=candidate.id,
        definition_name=candidate.name,
        version=version,
        verdict=kind,
        reason=reason,
        run_id=candidate.run_id,
    )
