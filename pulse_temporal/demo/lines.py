"""Write an entry of a timeline as one line of text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import JsonValue
from rich.text import Text

from pulse_temporal.demo.watch import WatchedRun
from pulse_temporal.model.runs import RunStatus
from pulse_temporal.model.timeline import RunTimelineEntry

MARKS: Mapping[str, tuple[str, str]] = {
    "run_created": ("●", "bold"),
    "run_completed": ("●", "bold green"),
    "run_failed": ("●", "bold red"),
    "run_canceled": ("●", "bold magenta"),
    "step_scheduled": ("◷", "yellow"),
    "step_started": ("▸", "cyan"),
    "step_completed": ("✓", "green"),
    "step_failed": ("✗", "red"),
    "step_skipped": ("○", "dim"),
    "log": ("»", "dim"),
}
"""Mark and style of each type of entry."""

RETRY_MARK = ("↻", "yellow")
NEWER_MARK = ("·", "")
DETAIL_STYLE = "dim"
AGAIN = {"retry": "retried", "restart": "restarted", "reset": "reset in Temporal"}
"""What is said of a step that goes on for such a reason."""

STATUS_STYLES: Mapping[RunStatus | str, str] = {
    "pending": "dim",
    "running": "cyan",
    "waiting": "yellow",
    "completed": "green",
    "failed": "red",
    "canceled": "magenta",
}


def entry_line(entry: RunTimelineEntry, view: WatchedRun) -> Text:
    """Return the line: seconds since the run was created, mark, subject, detail.

    Steps in branches are indented.
    """
    goes_on = will_retry(entry) or again_text(entry)
    mark, style = RETRY_MARK if goes_on else MARKS.get(entry.type, NEWER_MARK)
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{seconds_between(view.run.created_at, entry.timestamp):5.2f} ", DETAIL_STYLE)
    line.append("  " * (entry.path or "").count("/b"))
    line.append(f"{mark} {subject(entry)}", style)
    detail = detail_text(entry, view)
    if detail:
        line.append(f"  {detail}", "yellow" if will_retry(entry) else DETAIL_STYLE)
    return line


def subject(entry: RunTimelineEntry) -> str:
    """Return what the entry is about: a step's name, a log line's text, or the event's type."""
    if entry.type == "log":
        return as_text(entry.detail.get("message"))
    return entry.step_name or entry.type.replace("_", " ")


def detail_text(entry: RunTimelineEntry, view: WatchedRun) -> str:
    """Return the detail worth showing after mark and subject; often ``""``."""
    text = ""
    match entry.type:
        case "step_scheduled":
            until = entry.detail.get("scheduledFor")
            text = again_text(entry) or scheduled_text(until, view.run.created_at)
        case "step_started":
            attempt = entry.detail.get("attempt")
            text = "" if attempt in {None, 1} else f"attempt {attempt}"
        case "step_completed":
            answer = entry.detail.get("answer")
            text = "" if answer is None else f"answered {'yes' if answer else 'no'}"
        case "step_failed":
            text = failure_text(entry)
        case "step_skipped":
            text = "skipped"
        case "log":
            data = entry.detail.get("data")
            facts = data.items() if isinstance(data, dict) else ()
            text = " ".join(f"{name}={as_text(value)}" for name, value in facts)
        case "run_failed" | "run_canceled":
            text = as_text(view.run.error_message or view.run.cancel_reason or "")
        case "run_completed":
            ended_by = entry.detail.get("endedBy")
            text = "" if ended_by is None else f"ended early by {view.step_name(ended_by)}"
        case _:  # nothing to add, or an event of a newer release
            pass
    return text


def will_retry(entry: RunTimelineEntry) -> bool:
    """Return whether an entry is a failed attempt that will be repeated."""
    return entry.type == "step_failed" and entry.detail.get("final") is False


def failure_text(entry: RunTimelineEntry) -> str:
    """Return why an attempt failed, and after which pause the next one follows, if any."""
    error = as_text(entry.detail.get("error") or "failed")
    pause = entry.detail.get("retryInMs")
    if will_retry(entry) and isinstance(pause, int):
        return f"retry in {pause / 1000:.1f} s: {error}"
    return error


def again_text(entry: RunTimelineEntry) -> str:
    """Return why a step goes on that was over or under way, and who wanted it; often ``""``."""
    if entry.type != "step_scheduled" or "reason" not in entry.detail:
        return ""
    reason, by = as_text(entry.detail["reason"]), as_text(entry.detail.get("by") or "")
    return f"{AGAIN.get(reason, reason)}{f' by {by}' if by else ''}"


def scheduled_text(moment: JsonValue, created_at: datetime) -> str:
    """Return when a delay ends, in seconds since the run was created, as in the other lines."""
    if not isinstance(moment, str):
        return ""
    return f"until {seconds_between(created_at, datetime.fromisoformat(moment)):.2f}"


def status_text(view: WatchedRun, now: datetime) -> str:
    """Return a run's status, and how long it took, takes, or still waits."""
    status = view.run.status
    if view.ended_at is not None:
        took = seconds_between(view.run.created_at, view.ended_at)
        return f"{status} {'in' if status == 'completed' else 'after'} {took:.2f} s"
    if status == "waiting" and view.waits_until is not None:
        return f"waiting, {max(0.0, seconds_between(now, view.waits_until)):.1f} s left"
    return f"{status}, {max(0.0, seconds_between(view.run.created_at, now)):.1f} s"


def seconds_between(earlier: datetime, later: datetime) -> float:
    """Return the seconds from one moment to another."""
    return (later - earlier).total_seconds()


def as_text(value: JsonValue) -> str:
    """Return a JSON value as text on one line."""
    return " ".join(str(value).split())
