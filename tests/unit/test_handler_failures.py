"""What an exception becomes: a message, whether another attempt follows, a traceback."""

from __future__ import annotations

import linecache

from pulse_temporal import JsonValueError, NonRetryableError
from pulse_temporal.activities.failures import failed_by
from pulse_temporal.store.attempts import FailedAttempt

SOURCE: str = """\
def check(row):
    assert row["cents"] > 0

def check_long(row):
    assert (
        row["cents"]
        > 0
    )
"""
SCOPE: dict[str, object] = {}


def failing(text: str) -> FailedAttempt:
    """Run code that pytest has not rewritten."""
    name = "shop.py"
    lines: list[str] = SOURCE.splitlines(keepends=True)
    linecache.cache[name] = (len(SOURCE), None, lines, name)
    exec(compile(SOURCE, name, "exec"), SCOPE)  # noqa: S102 - our own text
    try:
        exec(text, SCOPE)  # noqa: S102 - our own text
    except BaseException as error:  # noqa: BLE001 - any
        return failed_by(error, max_bytes=1_000)
    raise LookupError(text)


def test_a_bare_assert_shows_its_expression() -> None:
    failed = failing("check({'cents': 0})")

    assert failed.message == 'AssertionError: assert row["cents"] > 0 (shop.py:2)'


def test_a_long_assert_is_put_on_one_line() -> None:
    failed = failing("check_long({'cents': 0})")

    assert 'row["cents"] > 0' in failed.message


def test_text_that_postgres_cannot_hold_is_repaired() -> None:
    error = ValueError("a\0b\ud800")
    error.add_note("c\0d")
    failed = failed_by(error, max_bytes=1_000)

    for text in (failed.message, failed.traceback or ""):
        assert "\0" not in text
        text.encode()


def test_a_huge_exception_is_cut() -> None:
    errors = [ValueError("x" * 10**6) for _ in range(100)]
    failed = failed_by(ExceptionGroup("g" * 10**6, errors), max_bytes=1_000)

    assert len(failed.message.encode()) <= 1_000
    assert len((failed.traceback or "").encode()) <= 16 * 1024


def caused(error: Exception, cause: Exception) -> Exception:
    """Return an exception that was raised from another one."""
    error.__cause__ = cause
    return error


def test_what_caused_an_error_of_pulse_is_not_shown() -> None:
    """It may hold a payload."""
    error = caused(JsonValueError("payload", "/a", "is not JSON"), ValueError("s3cret"))

    assert "s3cret" not in (failed_by(error, max_bytes=1_000).traceback or "s3cret")


def test_the_cause_of_a_handlers_own_error_is_shown() -> None:
    failed = failed_by(
        caused(NonRetryableError("closed"), ValueError("the reason")), max_bytes=1_000
    )

    assert "the reason" in (failed.traceback or "")
    assert not failed.retryable
