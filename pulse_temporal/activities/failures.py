"""Turn what a handler raised, or the end of its time, into a failed attempt to record."""

from __future__ import annotations

from datetime import timedelta

from temporalio.exceptions import ApplicationError

from pulse_temporal.errors import (
    EmitNotAwaitedError,
    HandlerResultError,
    HandlerTimeoutError,
    NonRetryableError,
    RetryAfterError,
)
from pulse_temporal.handlers.tracebacks import asserted, flattened, is_group, traceback_of
from pulse_temporal.model.canonical import scrub_text
from pulse_temporal.model.plain import cut_repr, is_list, spell
from pulse_temporal.store.attempts import FailedAttempt

FINAL = (NonRetryableError, HandlerResultError, EmitNotAwaitedError)
SHOWN_MEMBERS = 20
"""Exceptions of a group whose texts are in its message; the traceback has more."""


def failed_by(error: BaseException, *, max_bytes: int) -> FailedAttempt:
    """Describe a failure; its attributes are foreign, and may be anything.

    A group fails as its members say: one that rules out another attempt does so for all, and the
    longest pause that one asks for is kept.

    Args:
        error: What the handler raised.
        max_bytes: Bound of the message.
    """
    members = flattened(error)
    pauses = [pause for each in members if (pause := _pause(each)) is not None]
    texts = [_text(each) for each in members[:SHOWN_MEMBERS]]
    if len(members) > SHOWN_MEMBERS:
        texts.append("…")
    text = "; ".join(texts)
    if is_group(error):
        text = f"{type(error).__name__}: {spell(error)}: {text}"
    notes = "".join(f"\n{note}" for note in _notes(error))
    return FailedAttempt(
        message=scrub_text(text + notes, max_bytes=max_bytes),
        retryable=not any(_is_final(each) for each in members),
        retry_after=max(pauses, default=None),
        traceback=traceback_of(error),
        error=error,
    )


def timed_out(timeout: timedelta, *, stack: str, why: str = "") -> FailedAttempt:
    """Describe an attempt whose time was over.

    Args:
        timeout: Its time.
        stack: Where the handler was then; may be empty.
        why: A further sentence about the cause.
    """
    error = HandlerTimeoutError(f"the attempt took longer than {timeout}.{why}")
    if stack:
        error.add_note(f"When its time was over, the handler was here:\n{stack}")
    return FailedAttempt(
        message=f"{type(error).__name__}: {error}",
        retryable=True,
        timed_out=True,
        traceback=traceback_of(error),
        error=error,
    )


def _text(error: BaseException) -> str:
    name, text = type(error).__name__, spell(error)
    if isinstance(error, ApplicationError):
        name, text = spell(error.type or name), spell(error.message)
    elif isinstance(error, AssertionError) and not text:
        text = asserted(error)
    asked = _asked_pause(error)
    if asked is not None and not isinstance(asked, timedelta):
        text = f"{text} (its retry_after is no timedelta, but {cut_repr(asked)}, and was ignored)"
    return f"{name}: {text}" if text else name


def _is_final(error: BaseException) -> bool:
    return (
        bool(error.non_retryable)
        if isinstance(error, ApplicationError)
        else isinstance(error, FINAL)
    )


def _pause(error: BaseException) -> timedelta | None:
    asked = _asked_pause(error)
    return asked if isinstance(asked, timedelta) else None


def _asked_pause(error: BaseException) -> object:
    if isinstance(error, ApplicationError):
        return error.next_retry_delay
    return error.retry_after if isinstance(error, RetryAfterError) else None


def _notes(error: BaseException) -> list[str]:
    notes: object = getattr(error, "__notes__", None)
    return [note for note in notes if isinstance(note, str)] if is_list(notes) else []
