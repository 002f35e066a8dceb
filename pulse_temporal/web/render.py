"""Templates, and how values are written in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pydantic import JsonValue

from pulse_temporal.model.addresses import segment
from pulse_temporal.model.lengths import length_text
from pulse_temporal.web.options import WebOptions

HERE = Path(str(files("pulse_temporal.web")))
STATIC = HERE / "static"

SIGNS: Mapping[str, str] = {
    "collecting": "…",
    "pending": "○",
    "running": "▶",
    "waiting": "◷",
    "scheduled": "◷",
    "retrying": "↻",
    "blocked": "!",
    "late": "…",
    "completed": "✓",
    "failed": "✗",
    "done": "✓",
    "canceled": "⊘",
    "aborted": "⊘",
    "skipped": "–",  # noqa: RUF001 - a dash
}
"""The sign of each status; a status of a newer release has the last resort ``?``."""

KINDS: Mapping[str, str] = {"action": "▷", "condition": "◇", "delay": "◷", "parallel": "⇉"}


class Renderer:
    """Makes HTML of templates.

    Args:
        options: How pages are served.
    """

    def __init__(self, options: WebOptions) -> None:
        environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters.update(
            took=length_text,
            milliseconds=_milliseconds,
            place=_place,
            anchor=anchor,
            json=pretty,
            segment=segment,
            count=_count,
        )
        shared: dict[str, object] = {
            "at": _at,
            "has_scripts": (STATIC / "vendor" / "htmx.min.js").is_file(),
            "kinds": KINDS,
            "options": options,
            "signs": SIGNS,
            "stamp": _stamp(),
        }
        environment.globals.update(shared)  # pyright: ignore[reportArgumentType, reportCallIssue] - jinja knows the types of its own alone
        self._environment = environment

    def html(self, template: str, /, **values: object) -> str:
        """Return a template, filled in; whatever is not HTML already is escaped."""
        return self._environment.get_template(template).render(values)


def anchor(path: str) -> str:
    """Return the id of a step's row: ``s-2-b0-1``."""
    return f"s-{path.replace('/', '-')}"


def pretty(value: JsonValue) -> str:
    """Return JSON for people: indented, in the order that it has."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _place(percent: float) -> str:
    """Return a place on the time axis, short and without an exponent."""
    return f"{percent:.3f}".rstrip("0").rstrip(".")


def _milliseconds(count: int) -> str:
    return length_text(timedelta(milliseconds=count))


def _count(count: int) -> str:
    """Return a number with its digits in groups."""
    return f"{count:,}".replace(",", " ")


def _at(moment: datetime | None, kind: str = "relative") -> Markup:
    """Return a moment; the page's script writes it as wanted: relative, absolute or clock."""
    if moment is None:
        return Markup("–")  # noqa: RUF001 - a dash
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}" data-as="{}">{}</time>').format(
        utc.isoformat(timespec="milliseconds"), kind, f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    )


def _stamp() -> str:
    """Return what names the present contents of all static files."""
    found = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            found.update(path.read_bytes())
    return found.hexdigest()[:12]
