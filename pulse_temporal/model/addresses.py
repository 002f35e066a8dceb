"""Addresses of pages: ids as parts of a URL's path."""

from __future__ import annotations

from urllib.parse import quote

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


def run_page(pages_url: str, tenant_id: str, run_id: str) -> str:
    """Return the address of a run's page.

    Args:
        pages_url: Where the pages are served, with or without a slash at the end.
        tenant_id: The run's tenant.
        run_id: The run.
    """
    return f"{pages_url.rstrip('/')}/t/{segment(tenant_id)}/runs/{segment(run_id)}"
