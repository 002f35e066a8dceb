"""Take the values out of what Postgres and asyncpg raise, so that no log shows a payload.

Errors of this library name types, columns and constraints, never values. They are raised
``from`` the error of the driver, which tells a person more, and which code above asks for its
class; so that error itself must not carry values either.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import asyncpg

REDACTED = "what it says is left out, because it shows a value"
DETAILS = ("detail", "internal_query", "context")
"""Fields of a Postgres error that quote rows, documents or statements."""

QUOTES_VALUES = (asyncpg.DataError, ValueError)
"""Errors whose own text quotes the value that was refused."""


@contextmanager
def redacted() -> Generator[None]:
    """Take the values out of an error that passes; its class stays."""
    try:
        yield
    except Exception as error:
        redact(error)
        raise


def redact(error: Exception) -> None:
    """Take the values out of one error of asyncpg; do nothing to any other.

    A constraint's ``DETAIL`` quotes the key, a data error quotes the value in its text, and
    asyncpg chains errors of its encoders, which quote it too.
    """
    if isinstance(error, asyncpg.PostgresError):
        for name in DETAILS:
            setattr(error, name, None)
    if isinstance(error, QUOTES_VALUES):
        error.args = (REDACTED,)
        if isinstance(error, asyncpg.PostgresError):
            error.message = REDACTED
        error.__cause__ = error.__context__ = None
        if isinstance(error, UnicodeError):
            _forget_text(error)


def _forget_text(error: UnicodeError) -> None:
    """Drop the text that could not be encoded; the position in it stays."""
    if isinstance(error, UnicodeEncodeError):
        error.object = ""
