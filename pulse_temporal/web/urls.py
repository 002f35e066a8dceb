"""Ids as a part of a URL's path, and lists' filters as its query."""

from __future__ import annotations

from urllib.parse import quote, urlencode

ESCAPES = (("~", "~0"), ("/", "~1"))
DOTS = (".", "..")


def segment(text: str) -> str:
    """Return a text as one segment of a path.

    Servers decode ``%2F`` before they look at the segments, and browsers resolve dots, so both
    are written in another way.
    """
    for plain, escaped in ESCAPES:
        text = text.replace(plain, escaped)
    return quote(text.replace(".", "~2") if text in DOTS else text, safe="")


def from_segment(text: str) -> str:
    """Return the text of a segment that the server has decoded."""
    text = text.replace("~2", ".")
    for plain, escaped in reversed(ESCAPES):
        text = text.replace(escaped, plain)
    return text


def query(**fields: str | None) -> str:
    """Return a query with its question mark; fields that are empty are left out."""
    given = {name: value for name, value in fields.items() if value}
    return f"?{urlencode(given)}" if given else ""
