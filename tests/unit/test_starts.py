"""How a leased start stands, from its offer until its row is gone."""

from __future__ import annotations

import asyncio

from pulse_temporal.services.outbox.starts import (
    FULL_LINE,
    LONGEST_LINE,
    MOST_WAITING,
    LeasedStart,
    Starts,
)

LATER = 10.0
NOW = 0.0


def leased(number: int, tenant_id: str = "a", *, until: float = LATER) -> LeasedStart:
    """Return a start command."""
    return LeasedStart(number, f"run_{number}", tenant_id, generation=1, tries=1, until=until)


def offered(*starts: LeasedStart) -> Starts:
    """Return starts that were offered."""
    made = Starts()
    for start in starts:
        made.offer(start)
    return made


def taken(starts: Starts) -> int | None:
    """Take the next start; give its command."""
    start = starts.take(now=NOW)
    return start and start.command_id


async def test_a_start_that_temporal_has_is_forgotten() -> None:
    starts = offered(leased(1), leased(2))
    assert [taken(starts), taken(starts)] == [1, 2]
    await starts.started(1)
    await starts.started(2)

    done = await starts.next_started()
    starts.no_longer_held(done)

    assert done == [1, 2]
    assert starts.take_held() == []


async def test_tenants_take_turns() -> None:
    starts = offered(*(leased(number) for number in range(100)), leased(100, "b"))

    assert [taken(starts), taken(starts)] == [0, 100]


async def test_a_start_that_has_lost_its_lease_is_let_go() -> None:
    starts = offered(leased(1, until=NOW), leased(2))

    assert taken(starts) == 2
    assert taken(starts) is None
    assert starts.take_held() == [2]


async def test_what_finds_no_room_is_given_back_at_once() -> None:
    starts = offered(*(leased(number) for number in range(LONGEST_LINE + 2)))
    assert not starts.has_room("a")
    assert starts.has_room("b")

    left = await starts.next_left(now=NOW)
    starts.no_longer_held(left)

    assert left == [LONGEST_LINE, LONGEST_LINE + 1]
    assert sorted(starts.take_held()) == list(range(LONGEST_LINE))


async def test_what_was_left_for_longer_than_its_lease_is_let_go() -> None:
    starts = offered(*(leased(number) for number in range(LONGEST_LINE + 1)))

    assert await starts.next_left(now=LATER) == []
    assert LONGEST_LINE not in starts.take_held()


async def test_a_tenant_that_comes_anew_finds_room_among_those_that_flood() -> None:
    tenants = MOST_WAITING // LONGEST_LINE
    starts = offered(*(leased(number, f"t{number % tenants}") for number in range(MOST_WAITING)))
    assert starts.room == 0

    starts.offer(leased(MOST_WAITING, "quiet"))

    (left,) = await starts.next_left(now=NOW)
    assert left < MOST_WAITING
    assert MOST_WAITING in [taken(starts) for _ in range(tenants + 1)]


async def test_what_the_relay_has_leased_waits_in_a_long_line_too() -> None:
    starts = offered(*(leased(number) for number in range(LONGEST_LINE)))

    starts.feed(leased(LONGEST_LINE))

    assert len(starts) == LONGEST_LINE + 1


async def test_the_relay_passes_over_tenants_of_whom_enough_wait() -> None:
    starts = offered(*(leased(number) for number in range(FULL_LINE)), leased(FULL_LINE, "b"))
    assert starts.full_lines() == ["a"]

    assert taken(starts) == 0
    assert starts.full_lines() == []


async def test_what_is_held_when_a_process_stops_is_given_back() -> None:
    """What waits, what is under way, and what Temporal has and is still in the outbox."""
    starts = offered(leased(1), leased(2), leased(3))
    assert [taken(starts), taken(starts)] == [1, 2]
    await starts.started(1)

    assert sorted(starts.take_held()) == [1, 2, 3]
    assert starts.take_held() == []


async def test_to_settle_waits_for_what_is_under_way() -> None:
    starts = Starts()
    may_end = asyncio.Event()
    has_begun = asyncio.Event()

    async def start() -> None:
        with starts.under_way():
            has_begun.set()
            await may_end.wait()

    starting = asyncio.ensure_future(start())
    await has_begun.wait()
    settling = asyncio.ensure_future(starts.settle(timeout=60))
    await asyncio.sleep(0)
    assert not settling.done()

    may_end.set()

    async with asyncio.timeout(10):
        await settling
    await starting


async def test_only_the_starts_of_others_keep_one_from_being_eager() -> None:
    """A tenant that is alone has nobody to overtake."""
    starts = offered(leased(1), leased(2))

    alone = starts.others_wait("a")
    starts.offer(leased(3, "b"))

    assert not alone
    assert starts.others_wait("a")
    assert starts.others_wait("c")
    assert not Starts().others_wait("a")
