"""Signs and colours of statuses, always together with the word."""

from __future__ import annotations

from collections.abc import Mapping

from pulse_temporal.cli.tables import Cell
from pulse_temporal.model.runs import WorkflowStepRun

SIGNS: Mapping[str, tuple[str, str]] = {
    "pending": ("○", "dim"),
    "running": ("▶", "cyan"),
    "waiting": ("◷", "yellow"),
    "scheduled": ("◷", "yellow"),
    "retrying": ("↻", "yellow"),
    "blocked": ("!", "bold yellow"),
    "completed": ("✓", "green"),
    "failed": ("✗", "red"),
    "canceled": ("⊘", "magenta"),
    "skipped": ("\N{EN DASH}", "dim"),
}

KINDS: Mapping[str, str] = {"condition": "◇", "action": "▷", "delay": "◷", "parallel": "⇉"}
"""Signs of the kinds of step."""


def status_cell(status: str, note: str = "") -> Cell:
    """Return a status with its sign and colour; one of a newer release has the sign ``·``."""
    sign, style = SIGNS.get(status, ("·", ""))
    return Cell(f"{sign} {status}{f' {note}' if note else ''}", style)


def step_status(step: WorkflowStepRun) -> Cell:
    """Return a step's status; one that waits for its next attempt is retrying, or blocked."""
    if step.blocked_reason is not None:
        return status_cell("blocked")
    if step.next_attempt_at is not None and step.status in {"pending", "scheduled"}:
        return status_cell("retrying", f"{step.attempt}/{step.max_attempts}")
    return status_cell(step.status, f"attempt {step.attempt}" if step.attempt > 1 else "")
