"""Keyset pages: a cursor says after which row the next page begins."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from pulse_temporal.errors import InvalidInputError
from pulse_temporal.model.definitions import WorkflowDefinition
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.runs import Page, WorkflowRun
from pulse_temporal.store.places import NEWEST, KeysetPosition

Item = TypeVar("Item")

MOST_ROWS = 500
ROW_ID = re.compile(r"[!-~]{1,100}")


def check_limit(limit: int) -> None:
    """Refuse a page size outside 1 to 500."""
    if type(limit) is not int or not 1 <= limit <= MOST_ROWS:
        raise InvalidInputError(
            f"limit must be a whole number of 1 to {MOST_ROWS}, not {cut_repr(limit)[:100]}."
        )


def read_cursor(cursor: str | None) -> KeysetPosition:
    """Return the position that a cursor stands for.

    Raises:
        InvalidInputError: The text is no cursor of ours.
    """
    if cursor is None:
        return NEWEST
    refusal = InvalidInputError(f"{cut_repr(cursor)[:100]} is not a cursor of an earlier page.")
    try:
        text = base64.b64decode(cursor, altchars="-_", validate=True).decode("ascii")
        at, _, row_id = text.partition(" ")
        position = KeysetPosition(datetime.fromisoformat(at), row_id)
    except (binascii.Error, TypeError, ValueError):
        raise refusal from None
    if not ROW_ID.fullmatch(row_id) or position.at is None or position.at.tzinfo is None:
        raise refusal
    return position


def write_cursor(position: KeysetPosition) -> str:
    """Return the cursor of a position."""
    at = position.at.isoformat() if position.at else ""
    return base64.urlsafe_b64encode(f"{at} {position.id}".encode()).decode()


def page_of(found: Sequence[WorkflowDefinition], *, looked: int) -> Page[WorkflowDefinition]:
    """Make a page of the definitions that had room, of those that were looked at."""
    cursor = None
    if looked > len(found):
        cursor = write_cursor(KeysetPosition(found[-1].created_at, found[-1].id))
    return Page[WorkflowDefinition](items=tuple(found), next_cursor=cursor)


def page_of_runs(
    found: Sequence[WorkflowRun], places: Sequence[KeysetPosition], *, limit: int
) -> Page[WorkflowRun]:
    """Make a page of the runs that had room, which may be fewer than were looked for.

    Args:
        found: Runs that were read.
        places: Where the runs are that were looked for, and the one after them.
        limit: Most runs of a page.
    """
    looked_for = places[:limit]
    last = (
        KeysetPosition(found[-1].created_at, found[-1].id)
        if found
        else next(reversed(looked_for), None)
    )
    cursor = None if last is None or last == places[-1] else write_cursor(last)
    return Page[WorkflowRun](items=tuple(found), next_cursor=cursor)


async def every_item(
    read: Callable[[str | None], Awaitable[Page[Item]]],
) -> AsyncGenerator[Item]:
    """Yield the items of all pages; a page is read when those before it are used up.

    Args:
        read: Reads the page of a cursor; None stands for the first one.
    """
    cursor = None
    while True:
        page = await read(cursor)
        for item in page.items:
            yield item
        cursor = page.next_cursor
        if cursor is None:
            return
