"""Ids, which may be shortened to a beginning that only one thing has."""

from __future__ import annotations

from pulse_temporal.cli.connection import Pulse
from pulse_temporal.cli.exits import UsageError
from pulse_temporal.model.signal_views import SearchKind

LEAST = 8
WHOLE = len("run_") + 32
SHOWN = 5


async def full_id(pulse: Pulse, text: str, kind: SearchKind) -> str:
    """Return the id that a text is, or is the beginning of; the text itself when none is known.

    Raises:
        UsageError: Several ids begin so.
    """
    if not LEAST <= len(text) < WHOLE:
        return text
    found = await pulse.search(text)
    if any(each.matched_by == "id" for each in found):
        return text
    ids = [each.id for each in found if each.kind == kind and each.matched_by == "id_prefix"]
    if len(ids) > 1:
        more = " …" if len(ids) > SHOWN else ""
        raise UsageError(f"Several begin with {text}: {', '.join(ids[:SHOWN])}{more}")
    return ids[0] if ids else text
