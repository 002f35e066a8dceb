"""Log lines about handlers, and the running step's facts for the application's own lines."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import override

log: logging.Logger = logging.getLogger("pulse_temporal.handlers")
"""The logger of every failed attempt and every failed step."""

UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class Subject:
    """The step that a log line is about.

    Attributes:
        step_name: Empty when it is not known.
        what: Kind and name of the handler, such as ``action 'pay'``; empty when not known.
        attempt: Number of the attempt, from 1; 0 when it is not known.
    """

    tenant_id: str
    run_id: str
    path: str
    step_name: str = ""
    what: str = ""
    attempt: int = 0

    @override
    def __str__(self) -> str:
        """Return the facts in words."""
        step = (
            f"step {self.step_name!r} at path {self.path}"
            if self.step_name
            else (f"the step at path {self.path}")
        )
        handler = f", {self.what}" if self.what else ""
        return f"{step} of run {self.run_id}, tenant {self.tenant_id}{handler}"

    @property
    def facts(self) -> dict[str, object]:
        """The facts as attributes of a log record."""
        return {
            "tenant_id": self.tenant_id,
            "run_id": self.run_id,
            "path": self.path,
            "step": self.step_name,
            "attempt": self.attempt,
        }


current_subject: ContextVar[Subject | None] = ContextVar("pulse_handler", default=None)
"""The step whose handler runs in this context; its tasks and its thread inherit it."""


class HandlerContextFilter(logging.Filter):
    """Adds the facts of the running step to every log record that its handler writes.

    The record gets ``tenant_id``, ``run_id``, ``step``, ``path`` and ``attempt``; ``-`` outside
    of handlers. Attributes that a record already has are kept. Add the filter to a logging
    handler, not to a logger: a logger's filter does not see the records of its children.

    ```python
    handler = logging.StreamHandler()
    handler.addFilter(HandlerContextFilter())
    handler.setFormatter(logging.Formatter("%(levelname)s %(run_id)s %(step)s %(message)s"))
    ```
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Add the facts and let every record pass."""
        subject = current_subject.get()
        for name in ("tenant_id", "run_id", "step", "path", "attempt"):
            if not hasattr(record, name):
                setattr(record, name, subject.facts[name] if subject else UNKNOWN)
        return True


def attempt_failed(
    subject: Subject, *, max_attempts: int, message: str, error: BaseException | None = None
) -> None:
    """Log a failed attempt."""
    log.warning(
        "Attempt %d of %d failed: %s: %s",
        subject.attempt,
        max_attempts,
        subject,
        message,
        exc_info=error,
        extra=subject.facts,
    )


def step_failed(subject: Subject, *, message: str, error: BaseException | None = None) -> None:
    """Log a step that has failed for good."""
    log.error(
        "A step has failed, with attempt %d as its last: %s: %s",
        subject.attempt,
        subject,
        message,
        exc_info=error,
        extra=subject.facts,
    )


def attempt_lost(subject: Subject, *, message: str, error: BaseException | None = None) -> None:
    """Log a delivery that ended without a record, which costs no attempt."""
    log.warning(
        "Attempt %d was lost and does not count: %s: %s",
        subject.attempt,
        subject,
        message,
        exc_info=error,
        extra=subject.facts,
    )


HOW_NOT_TO_BLOCK = (
    "Register it as 'def', so that it runs in a thread, or call what blocks with "
    "asyncio.to_thread."
)


def loop_stands_still(subject: Subject | None, *, seconds: timedelta, stack: str) -> None:
    """Log that the event loop is blocked, by which handler and at which line, if known."""
    log.warning(
        "The event loop of this worker has stood still for %.1f s: %s%s",
        seconds.total_seconds(),
        f"the handler of {subject} blocks it, and all others wait. {HOW_NOT_TO_BLOCK}"
        if subject
        else "something blocks it, and all handlers wait.",
        f"\n{stack}" if stack else "",
        extra=subject.facts if subject else None,
    )
