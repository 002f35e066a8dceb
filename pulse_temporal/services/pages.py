"""Keyset pages: a cursor says after which row the next page begins."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TypeVar

from pulse_temporal.errors import InvalidInputError
from pulse_temporal.model.definitions import WorkflowDefinition
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.runs import Page, WorkflowRun

MOST_ROWS = 500
ROW_ID = re.compile(r"[!-~]{1,100}")

Row = TypeVar("Row", WorkflowRun, WorkflowDefinition)


def check_limit(limit: int) -> None:
    """Refuse a page size outside 1 to 500."""
    if type(limit) is not int or not 1 <= limit <= MOST_ROWS:
        raise InvalidInputError(
            f"limit must be a whole number of 1 to {MOST_ROWS}, not {cut_repr(limit)[:100]}."
        )


def read_cursor(cursor: str | None) -> str | None:
    """Give the id that a cursor stands for.

    Raises:
        InvalidInputError: The text is no cursor of ours.
    """
    if cursor is None:
        return None
    refusal = InvalidInputError(f"{cut_repr(cursor)[:100]} is not a cursor of an earlier page.")
    try:
        row_id = base64.b64decode(cursor, altchars="-_", validate=True).decode("ascii")
    except (binascii.Error, TypeError, ValueError) as error:
        raise refusal from error
    if not ROW_ID.fullmatch(row_id):
        raise refusal
    return row_id


def page_of(found: list[Row], *, limit: int) -> Page[Row]:
    """Cut rows, of which one more than a page was read, to a page with its cursor."""
    items = tuple(found[:limit])
    cursor = None
    if len(found) > limit:
        cursor = base64.urlsafe_b64encode(items[-1].id.encode()).decode()
    return Page[Row](items=items, next_cursor=cursor)
