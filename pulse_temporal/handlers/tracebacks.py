"""Show where the application's code failed: its own frames, bounded, without values."""

from __future__ import annotations

import asyncio
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from traceback import FrameSummary, StackSummary, TracebackException, extract_tb
from types import FrameType
from typing import TypeGuard

import temporalio

from pulse_temporal.errors import HandlerError, PulseError
from pulse_temporal.model.canonical import scrub_text

FRAMES = 60
"""Bound of the frames of one exception; the innermost ones are kept."""
LINE_CHARS = 2_000
TRACEBACK_BYTES = 16 * 1024
ASSERTED_LINES = 5

MACHINERY = (
    str(Path(__file__).parents[1]),
    *(str(Path(module.__file__ or "").parent) for module in (temporalio, asyncio)),
)
"""Folders whose frames do not belong to the application."""


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an exception as text, with its causes, groups and notes.

    It has no values of variables. The causes of Pulse's own errors are left out, as they may
    show a payload or a password. Never raise, whatever the exception does.
    """
    try:
        told = TracebackException(type(error), error, error.__traceback__, limit=-FRAMES)
        _prune(told, error)
        lines = [line[:LINE_CHARS] for line in told.format()]
    except BaseException as failed:  # noqa: BLE001 - foreign code
        lines = [
            f"{type(error).__name__} (its traceback could not be read: {type(failed).__name__})"
        ]
    return _bounded("".join(lines))


def stack_of(frames: Iterator[tuple[FrameType, int]]) -> str:
    """Return the application's part of a stack as text, the innermost frame last."""
    try:
        stack = StackSummary.extract(frames)
        stack[:] = [frame for frame in stack if _is_application(frame)][-FRAMES:]
        return _bounded("".join(line[:LINE_CHARS] for line in stack.format()))
    except BaseException:  # noqa: BLE001 - sources may be anything
        return ""


def frames_of_task(task: asyncio.Future[object]) -> Iterator[tuple[FrameType, int]]:
    """Yield the frames of a task that waits, the outermost first."""
    waits: object = task.get_coro() if isinstance(task, asyncio.Task) else None
    while waits is not None:
        frame = getattr(waits, "cr_frame", None) or getattr(waits, "gi_frame", None)
        if not isinstance(frame, FrameType):
            return
        yield frame, frame.f_lineno
        waits = getattr(waits, "cr_await", None) or getattr(waits, "gi_yieldfrom", None)


def frames_of_thread(ident: int | None) -> Iterator[tuple[FrameType, int]]:
    """Return the frames of a thread at this moment, the outermost first; none if it is unknown."""
    frame = sys._current_frames().get(ident or 0)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - documented, and the only way
    found: list[tuple[FrameType, int]] = []
    while frame is not None:
        found.append((frame, frame.f_lineno))
        frame = frame.f_back
    return reversed(found)


def asserted(error: AssertionError) -> str:
    """Return the statement and place of an ``assert`` without a message; ``""`` if unknown."""
    try:
        (frame,) = extract_tb(error.__traceback__, limit=-1)
        first = frame.lineno or 0
        last = min(frame.end_lineno or first, first + ASSERTED_LINES)
        lines = [
            linecache.getline(frame.filename, line).strip() for line in range(first, last + 1)
        ]
        return f"{' '.join(lines)} ({Path(frame.filename).name}:{first})".strip()
    except Exception:  # noqa: BLE001 - no traceback, or sources that cannot be read
        return ""


def flattened(error: BaseException) -> list[BaseException]:
    """Return the exceptions of a group, nested groups included; any other exception alone."""
    if not is_group(error):
        return [error]
    return [leaf for member in error.exceptions for leaf in flattened(member)]


def is_group(error: BaseException) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    """Return whether an exception is a group."""
    return isinstance(error, BaseExceptionGroup)


def _prune(told: TracebackException, error: BaseException) -> None:
    """Remove frames that are not the application's, and the causes of Pulse's own errors."""
    waiting: list[tuple[TracebackException | None, BaseException | None]] = [(told, error)]
    while waiting:
        told_, error_ = waiting.pop()
        if told_ is None or error_ is None:
            continue
        told_.stack[:] = [frame for frame in told_.stack if _is_application(frame)]
        if isinstance(error_, PulseError) and not isinstance(error_, HandlerError):
            told_.__cause__ = told_.__context__ = None
            continue
        waiting += [(told_.__cause__, error_.__cause__), (told_.__context__, error_.__context__)]
        if is_group(error_):
            waiting += zip(told_.exceptions or (), error_.exceptions, strict=False)


def _is_application(frame: FrameSummary) -> bool:
    return not frame.filename.startswith(MACHINERY)


def _bounded(text: str) -> str:
    """Return the last 16 KiB of a text: the innermost frames and the error are at its end."""
    excess = len(text.encode(errors="replace")) - TRACEBACK_BYTES
    if excess > 0:  # and 20 bytes more, for the mark
        text = "… [truncated]\n" + text.encode(errors="replace")[excess + 20 :].decode(
            errors="ignore"
        )
    return scrub_text(text, max_bytes=TRACEBACK_BYTES)
