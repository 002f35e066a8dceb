"""A claim reads the results that its process does not know, and its step sees all of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import cycle

import asyncpg
import pytest
from typing_extensions import override

from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import attempts, claims
from pulse_temporal.store.contexts import KeptResults, KnownResults
from pulse_temporal.store.fence import Fence
from pulse_temporal.store.statements import statements
from pulse_temporal.testing import StepLike, action, parallel
from tests.harness import TENANT, PulseTest
from tests.integration.explain import undone

BOUND = timedelta(minutes=5)
MANY = 60
RESULT_CHARS = 4_000


class Reading(KeptResults):
    """Notes how many characters of results each claim has read."""

    def __init__(self, limit: int = 1_000_000) -> None:
        super().__init__(limit)
        self.read: list[int] = []

    @override
    def learn(self, run_id: str, path: str, known: KnownResults, row: Record) -> KnownResults:
        self.read.append(len(row["context"]))
        return super().learn(run_id, path, known, row)


@dataclass
class Walk:
    """Goes through a run step by step, as its workers would."""

    session: Session
    run_id: str
    begun: set[str] = field(default_factory=set[str])

    async def take(self, path: str, kept: KeptResults | None) -> claims.Claimed:
        """Claim a step, as the first of its list when it is."""
        branch = path.rpartition("/")[0]
        fence = Fence(self.run_id, TENANT, 1, branch, f"x{branch}", f"x{branch}", None, None)
        terms = claims.ClaimTerms("wrk_1", BOUND, opens_list=branch not in self.begun)
        self.begun.add(branch)
        claimed = await claims.claim(self.session, fence, path, terms=terms, kept=kept)
        assert claimed is not None, path
        return claimed

    async def make(
        self, path: str, kept: KeptResults | None, *, result: object = None
    ) -> claims.Claimed:
        """Claim a step and record its result."""
        claimed = await self.take(path, kept)
        text = json.dumps(result or {"of": claimed.step.step_name})
        recorded = await attempts.record_success(
            self.session,
            claimed.claim_ref,
            succeeded=attempts.Succeeded(text),
            logs=[],
            context_bytes=10_000_000,
            ends=False,
        )
        assert recorded == "recorded"
        return claimed


async def walking(pulse: PulseTest, connection: asyncpg.Connection, *made: StepLike) -> Walk:
    """Return a run of such steps that nobody works on."""
    for name in ("act", *"abcdefghijk"):
        pulse.action(name)
    await pulse.define("walk", *made)
    (run_id,) = (await pulse.emit("walk")).run_ids
    texts = statements(prefix="pulse_", schema="public")
    return Walk(Session(connection, texts, 10.0, is_joined=True), run_id)


async def test_a_claim_reads_the_same_amount_however_long_the_run(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    named = [action(f"s{n}", uses="act") for n in range(MANY)]
    walk = await walking(idle_pulse, connection, *named)
    kept = Reading()

    async with undone(connection):
        for n in range(MANY):
            claimed = await walk.make(str(n), kept, result={"x": "y" * RESULT_CHARS})
            assert list(claimed.run.read().context) == [f"s{before}" for before in range(n)]

    assert kept.read[0] == 2
    assert {size // 100 for size in kept.read[1:]} == {RESULT_CHARS // 100}


INNER = parallel("inner", ["f", "g"], ["h"])
BLOCK = parallel("block", ["c", "d"], ["e", INNER, "i"])
NESTED = ("a", "b", BLOCK, "j", "k")
ORDER = (
    *("0", "1", "2/b0/0", "2/b1/0", "2/b0/1", "2/b1/1/b0/0", "2/b1/1/b1/0", "2/b1/1/b0/1"),
    *("2/b1/2", "3", "4"),
)
SEEN = {
    "0": "",
    "1": "a",
    "2/b0/0": "ab",
    "2/b1/0": "ab",
    "2/b0/1": "abc",
    "2/b1/1/b0/0": "abe",
    "2/b1/1/b1/0": "abe",
    "2/b1/1/b0/1": "abef",
    "2/b1/2": "abefgh",
    "3": "abcdefghi",
    "4": "abcdefghij",
}


@pytest.mark.parametrize("limit", [1_000_000, 40, 0])
@pytest.mark.parametrize("workers", [1, 2, 3])
async def test_a_step_sees_what_comes_before_it_whatever_is_known(
    idle_pulse: PulseTest, connection: asyncpg.Connection, workers: int, limit: int
) -> None:
    """Workers take turns, results fall out of what is kept, and workers are made anew."""
    walk = await walking(idle_pulse, connection, *NESTED)
    kept = cycle(KeptResults(limit) for _ in range(workers))

    async with undone(connection):
        for path in ORDER:
            claimed = await walk.make(path, next(kept))
            expected = {name: {"of": name} for name in SEEN[path]}
            assert (path, claimed.run.read().context) == (path, expected)


async def test_a_cached_result_that_was_recorded_anew_is_read_again(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """A server that has lost its last commits may record a step anew."""
    walk = await walking(idle_pulse, connection, *"abcd")
    kept = KeptResults()

    async with undone(connection):
        for path in "012":
            await walk.make(path, kept)
        await connection.execute(
            'UPDATE pulse_workflow_step_runs SET result = \'{"of": "another"}\','
            " completed_at = completed_at + interval '1 s' WHERE run_id = $1 AND path = '1'",
            walk.run_id,
        )
        claimed = await walk.take("3", kept)

    assert claimed.run.read().context == {
        "a": {"of": "a"},
        "b": {"of": "another"},
        "c": {"of": "c"},
    }


async def test_each_step_has_a_context_of_its_own(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    walk = await walking(idle_pulse, connection, *"abc")
    kept = KeptResults()

    async with undone(connection):
        await walk.make("0", kept)
        second = await walk.make("1", kept)
        second.run.read().context.clear()
        third = await walk.take("2", kept)

    assert third.run.read().context == {"a": {"of": "a"}, "b": {"of": "b"}}
