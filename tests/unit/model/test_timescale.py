"""Where moments are on the axis of a run."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_temporal.model.lengths import length_text, short_length_text
from pulse_temporal.model.timescale import (
    CHARACTER_WIDTH,
    FOLD_WIDTH,
    MOST_FOLDS,
    Span,
    Tick,
    make_time_scale,
    ticks_of,
)

START = datetime(2026, 11, 29, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def span(start: float, end: float | None) -> Span:
    return Span(at(start), None if end is None else at(end))


moments = st.floats(0, 100_000, allow_nan=False).map(lambda seconds: round(seconds, 3))
lengths = st.floats(0.001, 5_000, allow_nan=False).map(lambda seconds: round(seconds, 3))
spans = st.tuples(moments, lengths).map(lambda pair: span(pair[0], sum(pair)))
some_spans = st.lists(spans, max_size=15)


def test_a_run_that_is_over_fills_the_axis() -> None:
    scale = make_time_scale([span(0, 1), span(1, 2)], start=START, end=at(2), now=at(99))
    assert [scale.x(at(second)) for second in (0, 1, 2)] == [0, 50, 100]
    assert scale.folds == ()
    assert scale.valid_until is None


def test_a_long_idle_stretch_takes_little_room() -> None:
    scale = make_time_scale([span(0, 1), span(21, 22)], start=START, end=at(22), now=at(99))
    (fold,) = scale.folds
    assert (fold.start, fold.end, fold.width) == (at(1), at(21), FOLD_WIDTH)
    assert scale.x(at(1)) == pytest.approx(46.5)
    assert scale.x(at(21)) == pytest.approx(53.5)


def test_no_stretch_is_folded_when_idle_time_is_shown() -> None:
    scale = make_time_scale([span(0, 1)], start=START, end=at(22), now=at(99), fold=False)
    assert scale.folds == ()
    assert scale.x(at(11)) == pytest.approx(50)


def test_only_so_many_stretches_are_folded_the_longest_ones() -> None:
    busy = [span(100 * n, 100 * n + 1) for n in range(12)]
    scale = make_time_scale(busy, start=START, end=at(1_101), now=at(2_000))
    assert len(scale.folds) == MOST_FOLDS


def test_an_open_run_that_idles_is_folded_up_to_now_and_stands_still() -> None:
    early, late = (
        make_time_scale([span(0, 1)], start=START, end=None, now=at(seconds))
        for seconds in (60, 6_000)
    )
    assert early == late
    assert early.folds[-1].end is None
    assert early.x(at(6_000)) == 100


def test_a_run_of_which_nothing_is_known_has_an_axis() -> None:
    waiting = make_time_scale([], start=START, end=None, now=at(60))
    assert waiting.x(at(60)) == 100
    over = make_time_scale([], start=START, end=START, now=at(60))
    assert over.x(START) == 0
    idle = make_time_scale([], start=START, end=at(60), now=at(70))
    assert idle.x(at(60)) == 100


@given(some_spans, moments, st.booleans())
def test_places_keep_the_order_of_moments(busy: list[Span], end: float, fold: bool) -> None:
    scale = make_time_scale(busy, start=START, end=at(end), now=at(200_000), fold=fold)
    places = [point.x for point in scale.points]
    assert places == sorted(places)
    assert places[0] == 0
    assert places[-1] == pytest.approx(100)
    assert [point.at for point in scale.points] == sorted(point.at for point in scale.points)


@given(some_spans, moments, moments)
def test_time_alone_moves_nothing_until_the_axis_says(
    busy: list[Span], first: float, later: float
) -> None:
    ended = [each for each in busy if each.end and each.end <= at(first)]
    before = make_time_scale(ended, start=START, end=None, now=at(first))
    now = at(max(first, later))
    if before.valid_until and now >= before.valid_until:
        return
    after = make_time_scale(ended, start=START, end=None, now=now)
    assert after.points == before.points


@given(moments, st.lists(lengths, max_size=5))
def test_work_moves_nothing_until_the_axis_grows(first: float, works: list[float]) -> None:
    before = make_time_scale([span(0, None)], start=START, end=None, now=at(first))
    end = before.valid_until
    assert end
    assert end > at(first)
    room = (end - at(first)) / timedelta(seconds=1)
    busy = [span(0, first)]
    for share in works:
        begin = busy[-1].end
        assert begin
        more = timedelta(seconds=room / (len(works) + 1) * min(share, 1))
        busy.append(Span(begin, begin + more))
    now = busy[-1].end
    assert now
    after = make_time_scale(busy, start=START, end=None, now=min(now, end))
    assert after.points == before.points


@given(some_spans, moments, st.booleans())
def test_labels_do_not_touch_and_stay_within_the_axis(
    busy: list[Span], end: float, is_over: bool
) -> None:
    ended_at = at(end) if is_over else None
    scale = make_time_scale(busy, start=START, end=ended_at, now=at(200_000))
    ticks = ticks_of(scale, end=ended_at, now=at(200_000))
    edges = [edges_of(tick) for tick in ticks]
    assert all(right < left for (_, right), (left, _) in pairwise(edges))
    assert all(0 <= tick.x <= 100.001 for tick in ticks)


def edges_of(tick: Tick) -> tuple[float, float]:
    half = len(tick.text) * CHARACTER_WIDTH / 2
    middle = min(max(tick.x, half), 100 - half)
    return middle - half, middle + half


def test_labels_say_the_time_since_the_start_and_the_length_of_folds() -> None:
    scale = make_time_scale([span(0, 6), span(26, 32)], start=START, end=at(32), now=at(99))
    ticks = ticks_of(scale, end=at(32), now=at(99))
    assert [(tick.text, tick.is_fold) for tick in ticks] == [
        ("0", False),
        ("5 s", False),
        ("20 s", True),
        ("30 s", False),
        ("32 s", False),
    ]


def test_labels_under_a_second_are_in_milliseconds() -> None:
    scale = make_time_scale([span(0, 0.7)], start=START, end=at(0.741), now=at(99))
    texts = [tick.text for tick in ticks_of(scale, end=at(0.741), now=at(99))]
    assert texts == ["0", "200 ms", "400 ms", "600 ms", "741 ms"]


@pytest.mark.parametrize(
    ("seconds", "text", "short"),
    [
        (0, "0 ms", "0"),
        (-3, "0 ms", "0"),
        (0.1524, "152 ms", "152.4 ms"),
        (0.9996, "1.00 s", "1 s"),
        (5.474, "5.47 s", "5.5 s"),
        (9.996, "10.0 s", "10 s"),
        (21.54, "21.5 s", "22 s"),
        (59.96, "1 min", "1 min"),
        (543, "9 min 3 s", "9 min 3 s"),
        (7_200, "2 h", "2 h"),
        (90_061, "1 d 1 h", "1 d 1 h"),
    ],
)
def test_lengths_are_told_in_the_units_that_say_most(
    seconds: float, text: str, short: str
) -> None:
    assert length_text(timedelta(seconds=seconds)) == text
    assert short_length_text(timedelta(seconds=seconds)) == short
