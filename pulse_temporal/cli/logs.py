"""Keep the library's log off the screen."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from temporalio.runtime import Runtime, TelemetryConfig


@contextmanager
def log_file(path: Path) -> Generator[None]:
    """Send warnings and errors to ``path`` inside the block; the first one makes the file.

    The part of Temporal's SDK in Rust would write straight to the terminal. It is turned off for
    this process: what matters in it also reaches Python, as an exception.
    """
    _silence_native_log()
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.removeHandler(handler)
        handler.close()


@contextmanager
def no_log() -> Generator[None]:
    """Drop log lines inside the block: what matters in them is in the command's result.

    Without any handler, Python would print warnings to standard error.
    """
    _silence_native_log()
    handler = logging.NullHandler()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def _silence_native_log() -> None:
    Runtime.set_default(
        Runtime(telemetry=TelemetryConfig(logging=None)), error_if_already_set=False
    )


def log_tail(path: Path, *, lines: int = 20) -> list[str]:
    """Return the last lines of a log file; none when nothing was logged."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []
