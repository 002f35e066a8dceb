"""From moments to places on an axis whose long idle stretches are folded.

The axis of a run that goes on ends ahead of now, and grows in steps: so what changes in the run
moves nothing that stands on the axis already, until the axis grows or something is folded.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from pydantic import AwareDatetime

from pulse_temporal.model.lengths import short_length_text
from pulse_temporal.model.values import Value

GROWTH = 1.3
"""The axis of a run that goes on ends this factor to some power of seconds after its start."""

MOST_FOLDS = 7
FOLD_WIDTH = 7.0
SHORTEST_FOLD = timedelta(seconds=2)
FOLDED_SHARE = 0.35
"""An idle stretch is folded when it is longer than this share of the time with work in it."""

SHORTEST_AXIS = timedelta(milliseconds=10)
MARGIN = 1.02
"""A run that goes on is never shown with its end at the right edge."""

NICE_SECONDS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 10_800, 21_600, 43_200),
)
"""Distances of ticks; longer ones are whole days."""

DAY_SECONDS = 86_400
MOST_TICKS = 5
CHARACTER_WIDTH = 1.7
LABEL_MARGIN = 1.5


class Span(NamedTuple):
    """A stretch of time; without an end it goes on."""

    start: datetime
    end: datetime | None


class Fold(Value):
    """An idle stretch that is drawn in a fixed width.

    Attributes:
        start: When it begins.
        end: When it is over; None for one that goes on until now.
        x: Its left edge in percent of the axis.
        width: In percent of the axis.
    """

    start: AwareDatetime
    end: AwareDatetime | None
    x: float
    width: float


class Tick(Value):
    """A label of the axis.

    Attributes:
        x: Its middle in percent of the axis.
        text: Time since the start, or the length of a fold.
        is_fold: Whether it is the length of a fold.
        since: Start of a fold that goes on, whose length grows.
    """

    x: float
    text: str
    is_fold: bool = False
    since: AwareDatetime | None = None


class ScalePoint(Value):
    """A moment and its place; between two of them the axis is linear."""

    at: AwareDatetime
    x: float


class TimeScale(Value):
    """Where moments are on an axis from 0 to 100.

    Attributes:
        points: At least two, in order.
        folds: In order.
        valid_until: When the axis changes though nothing happens; None: it does not.
    """

    points: tuple[ScalePoint, ...]
    folds: tuple[Fold, ...] = ()
    valid_until: AwareDatetime | None = None

    @property
    def start(self) -> datetime:
        """The moment at 0."""
        return self.points[0].at

    def x(self, moment: datetime) -> float:
        """Return the place of a moment in percent, 0 to 100; what lies outside is at the edge."""
        index = bisect_right(self.points, moment, key=_at)
        if index == 0:
            return 0.0
        before = self.points[index - 1]
        if index == len(self.points):
            return before.x
        after = self.points[index]
        share = (moment - before.at) / (after.at - before.at)
        return before.x + (after.x - before.x) * share


def make_time_scale(
    busy: Iterable[Span],
    *,
    start: datetime,
    end: datetime | None,
    now: datetime,
    fold: bool = True,
) -> TimeScale:
    """Return the axis of a run.

    An idle stretch is folded when it is longer than 2 s and than 35 % of the time with work in
    it, at most the seven longest. A run that goes on and idles for so long is folded up to now,
    whenever that is, so that its axis stands still.

    Args:
        busy: When something was queued or at work, in any order; may overlap.
        start: When the run was created.
        end: When it ended; None while it goes on.
        now: The present moment.
        fold: False draws all time alike.
    """
    stretches = _merged(busy, start=start, until=end or now)
    limit = _fold_limit(stretches)
    idles_since = stretches[-1].end
    if end is not None:
        last = max(end, start + SHORTEST_AXIS)
        gaps = _longest(_gaps([*stretches, Stretch(last, last)]), limit) if fold else []
        return _scale(start, last, gaps)
    gaps = _longest(_gaps(stretches), limit) if fold else []
    if fold and now - idles_since > limit:
        return _scale(start, idles_since, gaps, is_open=True)
    ahead = _axis_end(start, now)
    changes = start + (ahead - start) / MARGIN
    if fold and not _is_busy(stretches, now):
        changes = min(changes, idles_since + limit)
    return _scale(start, ahead, gaps, valid_until=changes)


def ticks_of(scale: TimeScale, *, end: datetime | None, now: datetime) -> tuple[Tick, ...]:
    """Return the labels of an axis from left to right; none of them touches another.

    Lengths of folds come first, then the start and the end of the run, then round times.

    Args:
        scale: The axis.
        end: When the run ended; None while it goes on.
        now: The present moment.
    """
    folded = [
        Tick(
            x=fold.x + fold.width / 2,
            text=short_length_text((fold.end or now) - fold.start),
            is_fold=True,
            since=None if fold.end else fold.start,
        )
        for fold in sorted(scale.folds, key=lambda fold: fold.start - (fold.end or now))
    ]
    ends = [Tick(x=0.0, text="0")]
    if end is not None:
        ends.append(Tick(x=scale.x(end), text=short_length_text(end - scale.start)))
    kept: list[Tick] = []
    for tick in (*folded, *ends, *_round_ticks(scale)):
        if all(_apart(tick, other) for other in kept):
            kept.append(tick)
    return tuple(sorted(kept, key=lambda tick: tick.x))


class Stretch(NamedTuple):
    """A stretch of time that is over, or reaches to now."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.start


def _at(point: ScalePoint) -> datetime:
    return point.at


def _merged(busy: Iterable[Span], *, start: datetime, until: datetime) -> list[Stretch]:
    """Return the union of stretches within the axis; it begins with the start, at work or not."""
    merged = [Stretch(start, start)]
    inside = [
        Stretch(min(max(span.start, start), until), min(span.end or until, until)) for span in busy
    ]
    for stretch in sorted(inside):
        last = merged[-1]
        if stretch.end <= last.end:
            continue
        if stretch.start <= last.end:
            merged[-1] = Stretch(last.start, stretch.end)
        else:
            merged.append(stretch)
    return merged


def _is_busy(stretches: Sequence[Stretch], now: datetime) -> bool:
    return stretches[-1].end >= now


def _fold_limit(stretches: Sequence[Stretch]) -> timedelta:
    """Return how long an idle stretch may be without being folded.

    The time with work in it counts in steps, like the axis: each moment of work must not move
    everything.
    """
    worked = sum((stretch.length for stretch in stretches), timedelta())
    return max(SHORTEST_FOLD, _grown(worked) * FOLDED_SHARE)


def _grown(length: timedelta) -> timedelta:
    """Return the next step of growth at or above a length, at least a second."""
    seconds = max(length.total_seconds(), 1.0)
    return timedelta(seconds=GROWTH ** math.ceil(math.log(seconds, GROWTH)))


def _axis_end(start: datetime, now: datetime) -> datetime:
    return start + _grown((now - start) * MARGIN)


def _gaps(stretches: Sequence[Stretch]) -> list[Stretch]:
    return [Stretch(before.end, after.start) for before, after in pairwise(stretches)]


def _longest(gaps: Iterable[Stretch], limit: timedelta) -> list[Stretch]:
    """Return the longest stretches above a limit, in order."""
    long = sorted((gap for gap in gaps if gap.length > limit), key=lambda gap: -gap.length)
    return sorted(long[:MOST_FOLDS])


def _scale(
    start: datetime,
    end: datetime,
    gaps: Sequence[Stretch],
    *,
    is_open: bool = False,
    valid_until: datetime | None = None,
) -> TimeScale:
    """Return an axis with folds; an open one has a last fold, from its end up to now."""
    drawn = (end - start) - sum((gap.length for gap in gaps), timedelta())
    count = len(gaps) + is_open
    width = FOLD_WIDTH if drawn else 100.0 / max(count, 1)
    room = 100.0 - width * count
    points = [ScalePoint(at=start, x=0.0)]
    folds: list[Fold] = []

    def go_to(moment: datetime) -> float:
        last = points[-1]
        x = last.x + room * ((moment - last.at) / drawn) if drawn else last.x
        if moment > last.at:
            points.append(ScalePoint(at=moment, x=x))
        return x

    for gap in gaps:
        x = go_to(gap.start)
        folds.append(Fold(start=gap.start, end=gap.end, x=x, width=width))
        points.append(ScalePoint(at=gap.end, x=x + width))
    go_to(end)
    if is_open:
        folds.append(Fold(start=end, end=None, x=points[-1].x, width=width))
        points.append(ScalePoint(at=end + timedelta(microseconds=1), x=100.0))
    return TimeScale(points=tuple(points), folds=tuple(folds), valid_until=valid_until)


def _round_ticks(scale: TimeScale) -> list[Tick]:
    """Return labels at round times since the start, where the axis is not folded."""
    lines = _lines(scale)
    drawn = sum((line.length.total_seconds() for line in lines), 0.0)
    step = timedelta(seconds=_nice(drawn / MOST_TICKS))
    ticks: list[Tick] = []
    for line in lines:
        first = math.ceil((line.start - scale.start) / step)
        last = math.floor((line.end - scale.start) / step)
        for count in range(max(first, 1), last + 1):
            moment = scale.start + step * count
            ticks.append(Tick(x=scale.x(moment), text=short_length_text(step * count)))
    return ticks


def _lines(scale: TimeScale) -> list[Stretch]:
    """Return the stretches of the axis that are not folded."""
    folded = {fold.start for fold in scale.folds}
    pairs = pairwise(scale.points)
    return [Stretch(one.at, other.at) for one, other in pairs if one.at not in folded]


def _nice(seconds: float) -> float:
    """Return a round distance of at least so many seconds."""
    for nice in NICE_SECONDS:
        if nice >= seconds:
            return nice
    return math.ceil(seconds / DAY_SECONDS) * DAY_SECONDS


def _apart(tick: Tick, other: Tick) -> bool:
    width = (len(tick.text) + len(other.text)) * CHARACTER_WIDTH / 2 + LABEL_MARGIN
    return abs(_middle(tick) - _middle(other)) >= width


def _middle(tick: Tick) -> float:
    """Return where the middle of a label is: at the edges it is pushed inwards."""
    half = len(tick.text) * CHARACTER_WIDTH / 2
    return min(max(tick.x, half), 100.0 - half)
