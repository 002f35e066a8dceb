"""Draw a run's waterfall in a terminal: a line a step, all on one time axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from pulse_temporal.cli.paragraphs import printable
from pulse_temporal.cli.statuses import KINDS, SIGNS
from pulse_temporal.model.lengths import length_text
from pulse_temporal.model.timescale import Tick
from pulse_temporal.model.views import StepSummary
from pulse_temporal.model.waterfall import Bar, StepRow, Waterfall, WaterfallRow

MARKS: dict[str, tuple[str, str]] = {
    "block": ("─", "dim"),
    "queue": ("░", "dim"),
    "sleep": ("┄", "yellow"),
    "backoff": ("╌", "yellow"),
    "run": ("█", "cyan"),
    "ok": ("█", "green"),
    "failed": ("▓", "red"),
    "timed_out": ("▓", "red"),
    "lost": ("▒", "magenta"),
    "canceled": ("▒", "magenta"),
}
"""Sign and style of each kind of bar; of two in one place the later one is drawn."""

NEWER = ("▒", "")
LEGEND = "█ at work  ▓ failed  ▒ lost or canceled  ╌ pause  ┄ delay  ░ queue"

WIDEST_NAME = 28
STATE_WIDTH = 8
TOOK_WIDTH = 16
LEAST_AXIS = 16
WIDTH = 100
"""Where no terminal says how wide it is."""


def waterfall_lines(waterfall: Waterfall, *, width: int | None, now: datetime) -> list[Text]:
    """Return the lines of a waterfall, the axis first and the signs last.

    Args:
        waterfall: Of a run.
        width: Columns of the terminal; None for a pipe.
        now: The present moment, for what goes on.
    """
    names = [_name(row) for row in waterfall.rows]
    name_width = min(WIDEST_NAME, max(map(cell_len, names), default=0))
    rest = (width or WIDTH) - name_width - STATE_WIDTH - TOOK_WIDTH
    axis_width = max(LEAST_AXIS, rest)
    indent = " " * (name_width + STATE_WIDTH)
    lines = [Text(f"{indent}{_axis(waterfall.ticks, axis_width)}".rstrip(), style="dim")]
    for row, name in zip(waterfall.rows, names, strict=True):
        line = Text(no_wrap=True, end="")
        line.append(set_cell_size(name, name_width))
        line.append_text(_state(row))
        line.append_text(_bars(row.bars, axis_width))
        line.append(f" {_took(row, now)}", "dim")
        line.rstrip()
        lines.append(line)
    legend = Text(LEGEND, style="dim")
    if width is not None:
        legend.truncate(width, overflow="ellipsis")
    return [*lines, legend]


def _name(row: WaterfallRow) -> str:
    indent = "  " * row.depth
    if not isinstance(row, StepRow):
        return f"{indent}… {row.steps} steps"
    branch = f" [{(row.branch or 0) + 1}]" if row.opens_branch else ""
    return printable(f"{indent}{KINDS.get(row.step.type, '?')} {row.step.name}{branch}")


def _state(row: WaterfallRow) -> Text:
    if not isinstance(row, StepRow):
        sign, style = SIGNS["completed" if row.state == "done" else "pending"]
        return Text(f" {sign}".ljust(STATE_WIDTH), style=style)
    step = row.step
    sign, style = SIGNS.get(step.attention or step.status, ("·", ""))
    return Text(f" {sign} {_attempts(step)}".ljust(STATE_WIDTH), style=style)


def _attempts(step: StepSummary) -> str:
    is_more = step.attempt > 1 or step.attention == "retrying"
    return f"{step.attempt}/{step.max_attempts}" if is_more else ""


def _bars(bars: Sequence[Bar], width: int) -> Text:
    cells: list[tuple[str, str]] = [(" ", "")] * width
    for bar in bars:
        first = min(width - 1, int(bar.x * width / 100))
        last = max(first + 1, round((bar.x + bar.width) * width / 100))
        cells[first:last] = [MARKS.get(bar.kind, NEWER)] * (min(last, width) - first)
    line = Text()
    for sign, style in cells:
        line.append(sign, style)
    return line


def _took(row: WaterfallRow, now: datetime) -> str:
    if not isinstance(row, StepRow):
        return ""
    step = row.step
    if step.status == "skipped":
        return "skipped"
    waits_until = step.next_attempt_at or (step.scheduled_for if step.type == "delay" else None)
    if waits_until and step.status not in {"completed", "failed"}:
        return f"in {length_text(waits_until - now)}" if waits_until > now else "due"
    if row.began_at is None:
        return ""
    return length_text((row.ended_at or now) - row.began_at)


def _axis(ticks: Sequence[Tick], width: int) -> str:
    """Return the labels of the axis; one that would touch the one before is left out."""
    line = ""
    for at, text in _placed(ticks, width):
        if at >= len(line) + (1 if line else 0):
            line = line.ljust(at) + text
    return line


def _placed(ticks: Sequence[Tick], width: int) -> Iterator[tuple[int, str]]:
    for tick in ticks:
        text = f"░{tick.text}░" if tick.is_fold else tick.text
        middle = round(tick.x * width / 100)
        yield max(0, min(width - len(text), middle - len(text) // 2)), text
