"""Identifiers: a prefix that says what it is, then a time-ordered UUID."""

from __future__ import annotations

from typing import Literal

from uuid_utils import uuid7

IdKind = Literal["trg", "wfd", "run", "stp", "log", "wrk", "key", "aud", "blk", "ses", "lnk"]
"""Trigger, workflow definition, run, step run, log line, worker, API key, audit entry, bulk
operation, session, login link."""


def new_id(kind: IdKind) -> str:
    """Return a new identifier such as ``run_`` + 32 hexadecimal digits.

    The digits are a UUIDv7, so ids of one kind sort by the millisecond in which they were made.
    """
    return f"{kind}_{uuid7().hex}"
