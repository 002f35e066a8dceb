"""The benchmark's arithmetic, and how its figures come to the page and into pictures."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from tests.bench import large_mirror
from tests.bench.measure import Round, ratio, summary
from tests.bench.page import PAGE, SECTION, fill, sections
from tests.bench.plots import bars, lines, pictures
from tests.bench.results import Duel, Effort, Found, Report, Target

SVG = "{http://www.w3.org/2000/svg}"


def rounds(*rates: float) -> list[Round]:
    return [Round(rate, 1_000 / rate, 2.0) for rate in rates]


FAST = summary(rounds(20, 60, 90))
SLOW = summary(rounds(10, 20, 90))
ROW = {"steps": 3.0, "kind": "short actions", "ms a step": 4.0}
FOUND = Found(
    figures={"runs": {"raw": SLOW, "pulse": FAST}, "dbos 3.4.0": {"DBOS": FAST}},
    latencies={"raw": {"first_p50_ms": 20.0, "first_p95_ms": 30.0}},
    targets=[Duel("faster", "pulse", "raw", 1.5, 2.5).judge({"pulse": FAST, "raw": SLOW})],
    tables={"growth: steps": [{**ROW, "steps": 1.0}, {**ROW, "steps": 100.0}]},
)
REPORT = Report({"seed": 1}, {"runs": Effort(1.0, 20.0)}, FOUND)

SCALE = large_mirror.read(
    b"""{"seed": 1, "rounds": [7], "100 runs \\u00f7 10": {
    "claim": {"ratio_p95": 1.2, "large_ms_p95": 3.0},
    "list": {"ratio_p95": 1.6, "large_ms_p95": 4.0}}}"""
)


def test_the_slowest_question_to_a_large_mirror_decides() -> None:
    (found,) = large_mirror.judge(SCALE)
    assert (found.ratio, found.verdict) == (1.6, "short")
    assert "(list)" in found.figure


def test_a_ratio_is_taken_within_each_round() -> None:
    """Of the medians it would be 3, though two rounds of three say otherwise."""
    found = ratio(FAST, SLOW)
    assert (found.value, found.low, found.high) == (2.0, 1.0, 3.0)
    assert ratio(FAST, SLOW, measure="own_cpu_ms").value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("value", "lower", "verdict"),
    [
        (2.0, False, "aim"),
        (1.5, False, "ok"),
        (1.4, False, "short"),
        (1.4, True, "aim"),
        (1.6, True, "short"),
    ],
)
def test_a_verdict_knows_which_way_is_better(value: float, lower: bool, verdict: str) -> None:
    least, aim = (1.5, 1.4) if lower else (1.5, 2.0)
    assert Target("figure", value, least, aim, lower).verdict == verdict


def test_figures_go_to_their_sections_and_nothing_else_changes() -> None:
    page = (
        "a\n<!-- bench:runs -->\nold\n<!-- bench:end -->\nb\n"
        "<!-- bench:emits -->\nkept\n<!-- bench:end -->\n"
    )
    written = fill(page, sections([REPORT], SCALE))
    assert "| pulse | 60 | 20 to 90 |" in written
    assert "old" not in written
    assert written.startswith("a\n<!-- bench:runs -->\n|")
    assert written.endswith(
        "<!-- bench:end -->\nb\n<!-- bench:emits -->\nkept\n<!-- bench:end -->\n"
    )
    assert fill(written, sections([REPORT], SCALE)) == written


def test_every_section_of_the_page_is_closed_and_has_its_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    opened = re.findall(r"<!-- bench:(?!end)", text)
    closed = SECTION.findall(text)
    assert len(opened) == len(closed) == text.count("<!-- bench:end -->") > 10


def test_tables_are_named_as_the_page_names_them() -> None:
    names = {match["name"] for match in SECTION.finditer(PAGE.read_text(encoding="utf-8"))}
    assert set(sections([REPORT], SCALE)) <= names


def test_a_bar_is_as_long_as_its_value() -> None:
    picture = ET.fromstring(bars("a & b", [("raw", 10.0, (10.0, 10.0)), ("pulse", 30.0, (5, 40))]))  # noqa: S314 - our own
    raw, pulse = (float(each.attrib["width"]) for each in picture.iter(f"{SVG}rect"))
    assert pulse == pytest.approx(3 * raw, rel=0.01)


def test_a_line_stays_inside_the_picture() -> None:
    """From nothing to much, so that x cannot be logarithmic."""
    picture = ET.fromstring(lines("title", "x", {"line": [(0, 0), (1_000, 7), (20_000, 9)]}))  # noqa: S314 - our own
    _, _, width, height = (float(part) for part in picture.attrib["viewBox"].split())
    points = [
        (float(each.attrib["cx"]), float(each.attrib["cy"]))
        for each in picture.iter(f"{SVG}circle")
    ]
    assert points == sorted(points, key=lambda point: (point[0], -point[1]))
    assert all(0 < x < width and 0 < y < height for x, y in points)


def test_pictures_are_drawn_of_what_was_measured() -> None:
    assert set(pictures(FOUND)) == {"runs.svg", "dbos.svg", "latency.svg", "steps.svg"}
