"""Small pictures of what was measured: SVG, legible on light and on dark pages.

python -m tests.bench.plots FILE.json [FILE.json ...] --to FOLDER
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

from tests.bench.results import REPORT, Found, Row
from tests.bench.tables import number

WIDTH, LEFT, RIGHT, TOP = 760, 190, 90, 56
ROW, BAR = 34, 20
PLOT_LEFT, PLOT_HEIGHT = 70, 240
LEGEND_WIDTH = 190
THEIRS = ("empty", "raw", "bare", "DBOS")
COLOURS = ("#2f7ed8", "#d9822b", "#2c9c69", "#9b62c4")
STYLE = """<style>
text { fill: #57606a } .title { font-weight: 600; font-size: 16px }
.end { text-anchor: end } .mid { text-anchor: middle }
.spread { stroke: #57606a; stroke-width: 1.5; fill: none }
.grid { stroke: #8491a0; stroke-opacity: .25 }
@media (prefers-color-scheme: dark) { text { fill: #a9b4c0 } .spread { stroke: #e6edf3 } }
</style>"""

Bar = tuple[str, float, tuple[float, float]]
"""A name, its value, and the ends of its whisker."""

Line = Sequence[tuple[float, float]]


def bars(title: str, values: Sequence[Bar]) -> str:
    """Draw a bar for each value, and a whisker over each spread; ours have the second colour."""
    scale = (WIDTH - LEFT - RIGHT) / max(high for _, _, (_, high) in values)
    parts: list[str] = []
    for at, (name, value, (low, high)) in enumerate(values):
        y = TOP + at * ROW
        middle = y + BAR // 2
        colour = COLOURS[not name.startswith(THEIRS)]
        start, end = LEFT + low * scale, LEFT + high * scale
        ends = "".join(f"M{x:.1f} {middle - 4}v8" for x in (start, end))
        parts += [
            text(LEFT - 10, middle + 5, name, "end"),
            rectangle(LEFT, y, value * scale, BAR, colour),
            f'<path class="spread" d="M{start:.1f} {middle}H{end:.1f}{ends}"/>',
            text(end + 8, middle + 5, number(value)),
        ]
    return svg(title, TOP + len(values) * ROW + 6, parts)


def lines(title: str, x_title: str, series: Mapping[str, Line]) -> str:
    """Draw a line for each series over one axis; x is logarithmic where it spans much."""
    xs = sorted({x for line in series.values() for x, _ in line})
    is_log = xs[0] > 0 and xs[-1] / xs[0] > 20
    top = nice(max(y for line in series.values() for _, y in line))
    right = WIDTH - LEGEND_WIDTH

    def place_x(x: float) -> float:
        low, high, at = (
            (math.log(xs[0]), math.log(xs[-1]), math.log(x)) if is_log else (xs[0], xs[-1], x)
        )
        return PLOT_LEFT + (at - low) / ((high - low) or 1) * (right - PLOT_LEFT)

    def place_y(y: float) -> float:
        return TOP + PLOT_HEIGHT * (1 - y / top)

    parts: list[str] = []
    for quarter in range(5):
        y = place_y(top * quarter / 4)
        parts += [
            f'<path class="grid" d="M{PLOT_LEFT} {y:.1f}H{right}"/>',
            text(PLOT_LEFT - 8, y + 5, number(top * quarter / 4), "end"),
        ]
    parts += [
        text(place_x(x), TOP + PLOT_HEIGHT + 20, number(x), "mid") for x in apart(xs, place_x)
    ]
    parts.append(text((PLOT_LEFT + right) / 2, TOP + PLOT_HEIGHT + 42, x_title, "mid"))
    for at, (name, line) in enumerate(series.items()):
        points = " ".join(f"{place_x(x):.1f},{place_y(y):.1f}" for x, y in line)
        colour, y = COLOURS[at % len(COLOURS)], TOP + 8 + at * 24
        parts += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>',
            *(
                f'<circle cx="{place_x(x):.1f}" cy="{place_y(y):.1f}" r="4" fill="{colour}"/>'
                for x, y in line
            ),
            rectangle(right + 18, y, 14, 14, colour),
            text(right + 38, y + 12, name),
        ]
    return svg(title, TOP + PLOT_HEIGHT + 56, parts)


def apart(xs: Sequence[float], place: Callable[[float], float]) -> list[float]:
    """Keep the marks of an axis that do not run into the one before."""
    kept = [xs[0]]
    for x in xs[1:]:
        if place(x) - place(kept[-1]) > 44:
            kept.append(x)
    return kept


def nice(value: float) -> float:
    """Round an axis' end up to a number that is good to quarter."""
    power = 10 ** math.floor(math.log10(value or 1))
    return next(power * step for step in (1, 2, 4, 6, 8, 10) if power * step >= value)


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Write words."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(words)}</text>'


def rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    """Draw a box."""
    size = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {size} rx="2" fill="{colour}"/>'


def svg(title: str, height: float, parts: Sequence[str]) -> str:
    """Put a picture together."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img"'
        ' font-family="system-ui, -apple-system, Helvetica, Arial, sans-serif" font-size="14">'
    )
    body = [f"<title>{escape(title)}</title>", STYLE, text(14, 26, title, "title"), *parts]
    return "\n".join([head, *body, "</svg>\n"])


def pictures(found: Found) -> dict[str, str]:
    """Draw what there are figures for, by file name."""
    drawn: dict[str, str] = {}
    titles = {
        "runs": "Three-step runs a second, 100 in flight",
        "branches": "Runs of a three-branch block a second, 100 in flight",
        "emits": "Emits a second, 10 at a time",
        "dbos": "Three-step runs a second beside DBOS Transact, 100 in flight",
    }
    for group, figures in found.figures.items():
        name = group.split()[0]
        if name in titles:
            values = [(who, each.per_second, each.spread) for who, each in figures.items()]
            drawn[f"{name}.svg"] = bars(titles[name], values)
    if found.latencies:
        waits = [
            (name, each["first_p50_ms"], (each["first_p50_ms"], each["first_p95_ms"]))
            for name, each in found.latencies.items()
        ]
        drawn["latency.svg"] = bars(
            "Milliseconds until the first action, p50 (whisker: p95)", waits
        )
    return drawn | curves(found.tables)


def curves(tables: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """Draw how things grow."""
    drawn: dict[str, str] = {}
    if rows := tables.get("growth: steps"):
        kinds = dict.fromkeys(str(row["kind"]) for row in rows)
        series = {
            kind: pairs([r for r in rows if r["kind"] == kind], "steps", "ms a step")
            for kind in kinds
        }
        drawn["steps.svg"] = lines("Milliseconds a step, 10 runs in flight", "steps", series)
    if rows := tables.get("growth: branches"):
        series = {"short actions": pairs(rows, "branches", "ms a step")}
        drawn["growing-branches.svg"] = lines("Milliseconds a branch", "branches", series)
    if rows := tables.get("growth: open delays"):
        names = ("worker MiB", "Temporal MiB", "Postgres MiB")
        series = {name: pairs(rows, "open delays", name) for name in names}
        drawn["delays.svg"] = lines("Memory while runs sleep, MiB", "open delays", series)
        series = {"short runs/s": pairs(rows, "open delays", "short runs/s meanwhile")}
        drawn["meanwhile.svg"] = lines("Other runs a second meanwhile", "open delays", series)
    return drawn


def pairs(rows: Sequence[Row], x: str, y: str) -> Line:
    """Take two columns."""
    return [(float(row[x]), float(row[y])) for row in rows]


def draw(all_found: Sequence[Found], *, to: Path) -> None:
    """Draw all pictures into a folder."""
    to.mkdir(parents=True, exist_ok=True)
    for found in all_found:
        for name, picture in pictures(found).items():
            (to / name).write_text(picture, encoding="utf-8")


def main() -> None:
    """Draw the pictures of some files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--to", type=Path, required=True, help="a folder")
    options = parser.parse_args()
    draw([REPORT.validate_json(file.read_bytes()).found for file in options.files], to=options.to)


if __name__ == "__main__":
    main()
