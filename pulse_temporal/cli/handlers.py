"""``pulse handlers`` and ``pulse signals types``: what definitions can be made of."""

from __future__ import annotations

from typing import Literal

from pulse_temporal.cli.connection import with_pulse
from pulse_temporal.cli.exits import Exit
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output
from pulse_temporal.cli.tables import Cell, Column
from pulse_temporal.model.catalogue import CatalogEntry
from pulse_temporal.model.values import JsonObject

HANDLER_COLUMNS = (
    Column(title="KIND"),
    Column(title="HANDLER", is_flexible=True),
    Column(title="TITLE", is_flexible=True),
    Column(title="GROUP", is_flexible=True),
    Column(title="FOR"),
    Column(title="CONFIG", is_flexible=True),
    Column(title="WORKERS", is_number=True),
)
TYPE_COLUMNS = (
    Column(title="TYPE", is_flexible=True),
    Column(title="TITLE", is_flexible=True),
    Column(title="SOURCE"),
    Column(title="ABOUT"),
    Column(title="PAYLOAD", is_flexible=True),
    Column(title="WORKERS", is_number=True),
)


def list_handlers(
    *,
    kind: Literal["action", "condition"] | None = None,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """List the handlers that live workers know; with --tenant, those that tenants are offered.

    Parameters
    ----------
    kind:
        Only actions, or only conditions.
    """
    out = Output(options)
    found = [
        entry
        for entry in with_pulse(options, lambda pulse: pulse.catalog())
        if entry.kind != "signal" and kind in (None, entry.kind)
    ]
    if out.data(found):
        return Exit.OK
    rows = [
        [
            Cell(entry.kind),
            Cell(entry.name),
            Cell(entry.title or ""),
            Cell(entry.group or "", "dim"),
            Cell(entry.audience),
            Cell(_fields(entry.config_schema), "dim"),
            Cell(str(entry.workers)),
        ]
        for entry in found
    ]
    out.table(HANDLER_COLUMNS, rows)
    if not found:
        out.note("No live worker offers one: pulse worker APP starts one.")
    return Exit.OK


def list_types(*, options: GlobalOptions = DEFAULTS) -> int:
    """List the types of signals that live workers know."""
    out = Output(options)
    found: list[CatalogEntry] = [
        entry
        for entry in with_pulse(options, lambda pulse: pulse.catalog())
        if entry.kind == "signal"
    ]
    if out.data(found):
        return Exit.OK
    rows = [
        [
            Cell(entry.name),
            Cell(entry.title or ""),
            Cell(entry.source or ""),
            Cell(entry.resource_type or ""),
            Cell(_fields(entry.payload_schema), "dim"),
            Cell(str(entry.workers)),
        ]
        for entry in found
    ]
    out.table(TYPE_COLUMNS, rows)
    if found:
        out.note(f"Send one: pulse emit {found[0].name}")
    else:
        out.note("No live worker has registered one: pulse worker APP starts one.")
    return Exit.OK


def _fields(schema: JsonObject | None) -> str:
    """Return the names of an object's fields, those that are required marked."""
    properties = (schema or {}).get("properties")
    required = (schema or {}).get("required")
    if not isinstance(properties, dict):
        return ""
    needed = required if isinstance(required, list) else []
    return ", ".join(f"{name}*" if name in needed else name for name in properties)
