"""The real server names the times that cron names: random expressions, zones and dates."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    ScheduleState,
)

from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.model.cron import SHORTHANDS
from pulse_temporal.services.definitions.cron import Cron, parse_cron

SEED = 20260301
EXPRESSIONS = 320
AT_ONCE = 8
MOST_TIMES = 60
HOUR = timedelta(hours=1)
MONTHS = ("jan", "Feb", "MAR", "apr", "MAY", "JUN", "jul", "AUG", "sep", "OCT", "nov", "DEC")
WEEKDAYS = ("SUN", "mon", "Tue", "WED", "THU", "fri", "SAT")
ZONES = (
    "UTC",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/London",
    "Pacific/Chatham",
)
SPRINGS_AND_AUTUMNS = (
    datetime(2026, 3, 8, tzinfo=UTC),
    datetime(2026, 3, 28, tzinfo=UTC),
    datetime(2027, 4, 3, tzinfo=UTC),
    datetime(2028, 9, 30, tzinfo=UTC),
    datetime(2029, 10, 27, tzinfo=UTC),
    datetime(2030, 11, 2, tzinfo=UTC),
)


@dataclass(frozen=True)
class Case:
    """A random expression as we and as croniter write it, in a zone, from a moment on."""

    ours: str
    theirs: str
    zone: str
    start: datetime


class Server:
    """Asks a Temporal server which times a schedule has."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.numbers = count()
        self.slots = asyncio.Semaphore(AT_ONCE)

    async def times(self, cron: Cron, start: datetime, end: datetime) -> list[datetime]:
        """Return the times of an expression from ``start`` on, both ends included."""
        name = f"calendars-{next(self.numbers)}"
        schedule = Schedule(
            action=ScheduleActionStartWorkflow("Never", id=name, task_queue="nobody"),
            spec=ScheduleSpec(calendars=cron.calendars(), time_zone_name=cron.clock_zone),
            state=ScheduleState(paused=True),
        )
        async with self.slots:
            handle = await self.client.create_schedule(name, schedule)
            found = await self.client.workflow_service.list_schedule_matching_times(
                ListScheduleMatchingTimesRequest(
                    namespace=self.client.namespace,
                    schedule_id=name,
                    start_time=_stamp(start),
                    end_time=_stamp(end),
                )
            )
            await handle.delete()
        return [stamp.ToDatetime(UTC) for stamp in found.start_time]


@pytest.fixture
async def server(servers: EmbeddedServices) -> Server:
    return Server(await Client.connect(servers.temporal_address))


async def test_the_server_names_the_times_that_croniter_names(server: Server) -> None:
    """Hours that a clock repeats, and what Temporal makes of them, are left to other tests."""
    chance = random.Random(SEED)  # noqa: S311 - a reproducible test
    cases = [_case(chance) for _ in range(EXPRESSIONS)]
    assert len({case.ours for case in cases}) > 0.9 * EXPRESSIONS

    async def differences(case: Case) -> str | None:
        expected = _croniter_times(case)
        cron = parse_cron(case.ours, case.zone)
        ours = list(islice(cron.times_after(case.start), len(expected)))
        named = await server.times(cron, case.start + timedelta(seconds=1), expected[-1])
        if ours == expected and _calm(named, case) == _calm(expected, case):
            return None
        wrong = {*ours} ^ {*expected} or {*_calm(named, case)} ^ {*_calm(expected, case)}
        return f"{case}: {sorted(wrong)[:5]}"

    found = await asyncio.gather(*(differences(case) for case in cases))

    wrong = [text for text in found if text]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("expression", "zone", "day", "times"),
    [
        ("30 2 * * *", "America/New_York", "2026-03-08", []),
        ("15,45 2 * * *", "Europe/Berlin", "2026-03-29", []),
        ("30 1 * * *", "America/New_York", "2026-11-01", ["01:30-0400", "01:30-0500"]),
        ("0 * * * *", "Europe/London", "2026-10-25", None),
        ("*/15 * * * *", "Europe/Berlin", "2026-10-25", None),
        ("0 12 * * SUN", "Europe/Berlin", "2026-10-25", ["12:00+0100"]),
    ],
)
async def test_where_a_clock_is_changed_the_server_names_what_we_name(
    server: Server, expression: str, zone: str, day: str, times: list[str] | None
) -> None:
    named, ours = await _times_of_a_day(server, expression, zone, day)

    assert named == ours
    assert times is None or ours == times


@pytest.mark.parametrize(
    ("expression", "zone", "day", "server_names", "cron_names"),
    [
        # An hour that comes twice, east of Greenwich: the second one, or worse.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-25",
            ["02:30+0100"],
            ["02:30+0200", "02:30+0100"],
        ),
        (
            "30 1 * * *",
            "Europe/London",
            "2026-10-25",
            ["01:30+0000"],
            ["01:30+0100", "01:30+0000"],
        ),
        (
            "15,45 2 * * *",
            "Europe/Berlin",
            "2026-10-25",
            ["02:15+0100", "03:45+0100"],
            ["02:15+0200", "02:45+0200", "02:15+0100", "02:45+0100"],
        ),
        # A missing half hour: put off until its end.
        ("0 2 * * *", "Australia/Lord_Howe", "2026-10-04", ["02:30+1100"], []),
        # A day that begins with a missing hour, west of Greenwich: it has the wrong weekday.
        ("0 12 * * SUN", "America/Havana", "2026-03-08", [], ["12:00-0400"]),
        ("0 12 * * SAT", "America/Havana", "2026-03-08", ["12:00-0400"], []),
    ],
)
async def test_known_faults_of_temporals_calendars_are_still_there(
    server: Server,
    expression: str,
    zone: str,
    day: str,
    server_names: list[str],
    cron_names: list[str],
) -> None:
    """When this fails, Temporal has changed: see what ``Cron.calendars`` says about it."""
    named, ours = await _times_of_a_day(server, expression, zone, day)

    assert (named, ours) == (server_names, cron_names)


async def _times_of_a_day(
    server: Server, expression: str, zone: str, day: str
) -> tuple[list[str], list[str]]:
    """Return the times of a local day: those that Temporal names, and those that we name."""
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone))
    start, end = noon.astimezone(UTC) - 18 * HOUR, noon.astimezone(UTC) + 18 * HOUR
    cron = parse_cron(expression, zone)
    named = await server.times(cron, start, end)
    ours = takewhile(lambda time: time <= end, cron.times_after(start - timedelta(seconds=1)))
    of_the_day = [
        [time for time in times if time.astimezone(noon.tzinfo).date() == noon.date()]
        for times in (named, ours)
    ]
    return _shown(of_the_day[0], zone), _shown(of_the_day[1], zone)


def _case(chance: random.Random) -> Case:
    while True:
        ours, theirs = _expression(chance)
        zone = chance.choice(ZONES)
        start = chance.choice(SPRINGS_AND_AUTUMNS) + timedelta(minutes=chance.randrange(1440))
        if croniter.is_valid(theirs, strict=True):
            return Case(ours, theirs, zone, start)


def _expression(chance: random.Random) -> tuple[str, str]:
    """Make an expression; croniter's ways to say it are fewer."""
    if chance.random() < 0.03:
        shorthand = chance.choice([*SHORTHANDS])
        return shorthand, SHORTHANDS[shorthand]
    minute, hour = _numbers(chance, 0, 59), _numbers(chance, 0, 23)
    month = _named(chance, 1, 12, MONTHS)
    day, weekday = (
        _numbers(chance, 1, 31),
        _named(chance, 0, 6, WEEKDAYS),
    )
    pair = (weekday, weekday)
    kind = chance.random()
    if kind < 0.15:
        day = chance.choice(["L", f"L,{chance.randint(1, 27)}"])
    elif kind < 0.45:
        # croniter forgets the day of month beside these.
        day, pair = "*", _special_weekday(chance)
    return f"{minute} {hour} {day} {month} {pair[0]}", f"{minute} {hour} {day} {month} {pair[1]}"


def _special_weekday(chance: random.Random) -> tuple[str, str]:
    number = chance.randrange(7)
    name = WEEKDAYS[number]
    nth = chance.randint(1, 5)
    return chance.choice(
        [
            (f"{name}#{nth}", f"{number}#{nth}"),
            (f"{number}#{nth},{name}#2", f"{number}#{nth},{number}#2"),
            (f"{number}L", f"L{number}"),
            (f"{name}L", f"L{number}"),
            (f"L{name},{number}#1", f"L{number},{number}#1"),
        ]
    )


def _numbers(chance: random.Random, low: int, high: int) -> str:
    """Make a field of which croniter and we think the same.

    Not in it: ranges from a value to itself or around the whole circle, and steps across
    the turn, about which croniter has its own mind.
    """
    first, last = chance.sample(range(low, high + 1), 2)
    if last == first - 1 or {first, last} == {low, high}:
        first, last = low + 2, high - 2
    step = chance.randint(2, 7)
    texts = ["*", "*", f"{first}", f"*/{step}", f"{first}-{last}", f"{first}/{step}"]
    texts.append(f"{min(first, last)}-{max(first, last)}/{step}")
    texts.append(f"{first},{last},{chance.randint(low, high)}")
    texts.append(f"{min(first, last)}-{max(first, last)},{first}")
    return chance.choice(texts)


def _named(chance: random.Random, low: int, high: int, names: Sequence[str]) -> str:
    text = _numbers(chance, low, high)
    if text.isdecimal() and chance.random() < 0.7:
        return names[int(text) - low]
    first, dash, last = text.partition("-")
    if dash and last.isdecimal() and chance.random() < 0.7:
        return f"{names[int(first) - low]}-{names[int(last) - low]}"
    return text


def _croniter_times(case: Case) -> list[datetime]:
    """Return the next times by croniter, which only sees a clock without a zone."""
    zone = ZoneInfo(case.zone)
    wall = (case.start.astimezone(zone) - 3 * HOUR).replace(tzinfo=UTC)
    walls = croniter(case.theirs, wall, ret_type=datetime)
    moments: set[datetime] = set()
    local = wall
    while sum(moment < local for moment in moments) < MOST_TIMES:
        local = walls.get_next().replace(tzinfo=zone)
        both = {local.replace(fold=fold).astimezone(UTC) for fold in (0, 1)}
        exists = {moment for moment in both if moment.astimezone(zone).replace(fold=0) == local}
        moments |= {moment for moment in exists if moment > case.start}
    return sorted(moments)[:MOST_TIMES]


def _calm(times: list[datetime], case: Case) -> list[datetime]:
    """Leave out what lies around a repeated hour."""
    zone = ZoneInfo(case.zone)

    def offset(time: datetime) -> timedelta:
        return time.astimezone(zone).utcoffset() or timedelta()

    return [time for time in times if offset(time - 3 * HOUR) <= offset(time + 3 * HOUR)]


def _shown(times: Iterable[datetime], zone: str) -> list[str]:
    return [f"{time.astimezone(ZoneInfo(zone)):%H:%M%z}" for time in times]


def _stamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
