"""Lists' filters as the query of a URL."""

from __future__ import annotations

from urllib.parse import urlencode


def query(**fields: str | None) -> str:
    """Return a query with its question mark; fields that are empty are left out."""
    given = {name: value for name, value in fields.items() if value}
    return f"?{urlencode(given)}" if given else ""
