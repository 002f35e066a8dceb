"""What bulk operations, their runs and their previews look like."""

from __future__ import annotations

from rich.text import Text

from pulse_temporal.cli.connection import tenant_of
from pulse_temporal.cli.moments import took
from pulse_temporal.cli.output import Output
from pulse_temporal.cli.tables import Cell, Column
from pulse_temporal.model.bulk import BulkItem, BulkOperation, BulkPreview
from pulse_temporal.model.views import BoundedCount

OPERATION_COLUMNS = (
    Column(title="STATUS"),
    Column(title="OPERATION"),
    Column(title="TENANT"),
    Column(title="DOES"),
    Column(title="NAME", is_flexible=True),
    Column(title="RUNS", is_number=True),
    Column(title="DONE", is_number=True),
    Column(title="FAILED", is_number=True),
    Column(title="SKIPPED", is_number=True),
    Column(title="BY", is_flexible=True),
    Column(title="CREATED"),
)
ITEM_COLUMNS = (
    Column(title="OUTCOME"),
    Column(title="RUN"),
    Column(title="WHAT CAME OF IT", is_flexible=True),
    Column(title="WHEN"),
)
SAMPLE_COLUMNS = (
    Column(title="STATUS"),
    Column(title="RUN"),
    Column(title="DEFINITION", is_flexible=True),
    Column(title="ABOUT", is_flexible=True),
    Column(title="CREATED"),
)
LOOKS = {
    "collecting": ("… collecting", "dim"),
    "running": ("▶ running", "blue"),
    "completed": ("✓ completed", "green"),
    "aborted": ("⊘ aborted", "yellow"),
    "pending": ("○ pending", "dim"),
    "done": ("✓ done", "green"),
    "failed": ("✗ failed", "red"),
    "skipped": ("\N{EN DASH} skipped", "dim"),
}


def show_operation(out: Output, operation: BulkOperation) -> None:
    """Show how far an operation has come."""
    length = None
    if operation.ended_at is not None:
        length = took(operation.ended_at - operation.created_at)
    out.facts(
        {
            "Operation": operation.id,
            "Status": look(operation.status),
            "Does": operation.kind,
            "Tenant": operation.tenant_id,
            "Name": operation.name,
            "Reason": operation.reason,
            "By": operation.actor.name,
            "Repeats": operation.repeats,
            "Runs": str(operation.items),
            "Done": str(operation.done),
            "Failed": Cell(str(operation.failed), "red") if operation.failed else None,
            "Skipped": str(operation.skipped) if operation.skipped else None,
            "Left": str(operation.left) if operation.left else None,
            "Rate": f"{operation.rate:g} a second",
            "Created": out.both(operation.created_at),
            "Took": length,
        }
    )
    if operation.failed:
        out.note(f"Why: pulse bulk items {operation.id} --outcome failed")
    elif not operation.is_over:
        out.note(f"Follow: pulse bulk show {operation.id} --watch")


def show_preview(out: Output, seen: BulkPreview) -> None:
    """Show what an operation would be about."""
    out.line(Text(f"{seen.kind.capitalize()} {runs_of(seen.eligible)}.", style="bold"))
    for status, count in seen.not_eligible.items():
        out.line(f"Not {_number(count)} that {'is' if count.count == 1 else 'are'} {status}.")
    rows = [
        [
            Cell(run.status),
            Cell(run.id),
            Cell(run.definition_name),
            Cell("/".join(part for part in (run.resource_type, run.resource_id) if part)),
            Cell(out.moment(run.created_at)),
        ]
        for run in seen.samples
    ]
    if rows:
        out.heading("The newest of them" if seen.eligible.count > len(rows) else "They are")
        out.table(SAMPLE_COLUMNS, rows)
    out.note("Nothing was done.")


def operation_cells(out: Output, each: BulkOperation) -> list[Cell]:
    """Return the line of an operation in a list."""
    return [
        look(each.status),
        Cell(each.id),
        Cell("" if tenant_of(out.options) == each.tenant_id else each.tenant_id),
        Cell(each.kind),
        Cell(each.name or each.reason or ""),
        Cell(str(each.items)),
        Cell(str(each.done)),
        Cell(str(each.failed), "red" if each.failed else "dim"),
        Cell(str(each.skipped), "" if each.skipped else "dim"),
        Cell(each.actor.name),
        Cell(out.moment(each.created_at)),
    ]


def came_of(item: BulkItem) -> str:
    """Return what became of a run."""
    if item.error is not None:
        return item.error
    if item.generation is not None:
        return f"goes on in generation {item.generation}"
    if item.run_ids:
        return f"started {', '.join(item.run_ids)}"
    return ""


def look(word: str) -> Cell:
    """Return a status or an outcome with its sign and its colour."""
    return Cell(*LOOKS.get(word, (word, "")))


def runs_of(count: BoundedCount) -> str:
    """Return how many runs, in words."""
    return f"{_number(count)} run{'' if count.count == 1 and not count.is_bounded else 's'}"


def _number(count: BoundedCount) -> str:
    return f"{count.count:,}{'+' if count.is_bounded else ''}"
