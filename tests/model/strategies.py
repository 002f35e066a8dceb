"""Random definitions with random scripts: small, valid, readable, and good at shrinking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st
from pydantic import JsonValue

from tests.model.cases import BAD_ANSWERS, BAD_RESULTS, Answer, Bad, Case, Fail, Failure, Move, Ok

DEPTH = 3
LIST = 3
STEPS = 12
SIGNALS = ("noted", "done")
LOCAL_MS, QUEUED_MS = 1_000, 60_000
SHORT_LOCAL_MS, SHORT_QUEUED_MS = 100, 1_100
FAILURES: tuple[Failure, ...] = ("raises", "raises for good", "asks for a pause", "hangs")
REFUSALS: tuple[Failure, ...] = ("refuses", "refuses for good")


@dataclass(frozen=True)
class Drawn:
    """A step that has no name yet, what its handler does, and the branches inside."""

    fields: dict[str, object]
    moves: tuple[Move, ...] = ()
    branches: tuple[Sequence[Drawn], ...] = ()

    @property
    def size(self) -> int:
        """How many steps it is."""
        return 1 + sum(inner.size for branch in self.branches for inner in branch)


def _policy(attempts: int) -> dict[str, object]:
    return {"maxAttempts": attempts, "backoffMs": 100, "backoffCoefficient": 1.0}


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3)
)
_keys = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=2)
_telling = st.fixed_dictionaries({}, optional={"value": st.booleans(), "answer": st.booleans()})
"""Results with keys by which the inside of the engine might tell one thing from another."""
_values: st.SearchStrategy[JsonValue] = st.one_of(
    _scalars, st.lists(_scalars, max_size=2).map(list[JsonValue])
)
_results = st.none() | st.dictionaries(_keys, _values, max_size=2) | _telling
_signals = st.lists(st.sampled_from(SIGNALS), max_size=2).map(tuple)
_policies = st.none() | st.integers(1, 3).map(_policy)


def _moves(*, is_action: bool) -> st.SearchStrategy[tuple[Move, ...]]:
    if is_action:
        good = st.builds(Ok, _results, _signals)
        bad = st.builds(Bad, st.sampled_from(sorted(BAD_RESULTS)), _signals)
    else:
        good = st.builds(Answer, st.booleans(), _signals)
        bad = st.builds(Bad, st.sampled_from(sorted(BAD_ANSWERS)), _signals)
    how = st.sampled_from(FAILURES + REFUSALS if is_action else FAILURES)
    fails = st.builds(Fail, how, _signals)
    return st.lists(good | fails | good | fails | bad, max_size=4).map(tuple)


@st.composite
def _handler_steps(draw: st.DrawFn, kind: Literal["action", "condition"]) -> Drawn:
    is_action = kind == "action"
    uses = draw(st.sampled_from(Case.ACTIONS if is_action else Case.CONDITIONS))
    moves = draw(_moves(is_action=is_action))
    hangs = any(isinstance(move, Fail) and move.how == "hangs" for move in moves)
    if hangs:
        # Little time: what else the handler does must not take any, on a busy machine either.
        moves = tuple(_without_signals(move) for move in moves)
        uses = "act" if is_action else "ask"
        timeout_ms = draw(st.sampled_from([SHORT_LOCAL_MS, SHORT_LOCAL_MS, SHORT_QUEUED_MS]))
    else:
        timeout_ms = draw(st.sampled_from([LOCAL_MS, None, QUEUED_MS]))
    chosen: dict[str, object] = {
        "uses": uses,
        "timeoutMs": timeout_ms,
        "retryPolicy": draw(_policies),
    }
    if not is_action:
        chosen["onFalse"] = draw(
            st.none() | st.sampled_from(["complete", "skip"]) | st.integers(1, 4)
        )
    given = {key: value for key, value in chosen.items() if value is not None}
    return Drawn({"type": kind, **given}, moves)


def _without_signals(move: Move) -> Move:
    match move:
        case Ok(data=data):
            return Ok(data)
        case Answer(value=value):
            return Answer(value)
        case Fail(how=how):
            return Fail(how)
        case Bad(what=what):
            return Bad(what)


_delays = st.integers(1, 30).map(lambda ms: Drawn({"type": "delay", "delayMs": ms}))


def _steps(depth: int) -> st.SearchStrategy[Drawn]:
    leaves = (
        _handler_steps("action") | _handler_steps("condition") | _handler_steps("action") | _delays
    )
    if not depth:
        return leaves
    branch = st.lists(_steps(depth - 1), min_size=1, max_size=LIST)
    blocks = st.lists(branch, min_size=2, max_size=3).map(
        lambda branches: Drawn({"type": "parallel"}, branches=tuple(branches))
    )
    return leaves | blocks


def _named(drawn: Sequence[Drawn], script: dict[str, Sequence[Move]]) -> list[dict[str, object]]:
    """Return the steps as JSON, called ``s0``, ``s1`` … in document order; fills the script."""
    steps: list[dict[str, object]] = []
    for step in drawn:
        name = f"s{len(script)}"
        script[name] = step.moves
        fields = {"name": name, **step.fields}
        if step.branches:
            fields["branches"] = [_named(branch, script) for branch in step.branches]
        steps.append(fields)
    return steps


def _case(
    drawn: Sequence[Drawn], retries: int, replays: tuple[Literal["replay", "dry run"], ...]
) -> Case:
    script: dict[str, Sequence[Move]] = {}
    steps = _named(drawn, script)
    told = {name: moves for name, moves in script.items() if moves}
    return Case(steps, told, retries, replays)


_drawn = st.lists(_steps(DEPTH), max_size=LIST + 1).filter(
    lambda drawn: sum(step.size for step in drawn) <= STEPS
)
_replays: st.SearchStrategy[tuple[Literal["replay", "dry run"], ...]] = st.sampled_from(
    [(), (), ("replay",), ("dry run",), ("replay", "dry run")]
)
cases: st.SearchStrategy[Case] = st.builds(_case, _drawn, st.integers(0, 2), _replays)
"""Definitions of at most 12 steps, three blocks deep, their scripts, retries and replays."""
