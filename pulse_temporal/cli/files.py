"""``pulse definitions validate``, ``plan``, ``apply`` and ``export``: definitions in files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import JsonValue
from rich.text import Text
from ruamel.yaml import YAML

from pulse_temporal.cli.connection import Pulse, tenant_of, with_pulse
from pulse_temporal.cli.exits import Exit, UsageError
from pulse_temporal.cli.flow_files import FileProblem, FlowDocument, read_files
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output
from pulse_temporal.cli.paragraphs import printable
from pulse_temporal.cli.tables import Cell, Column, table_lines
from pulse_temporal.errors import DefinitionError, Problem
from pulse_temporal.model.definitions import WorkflowDefinition, WorkflowInput
from pulse_temporal.model.diff import DefinitionDifference, FieldDifference
from pulse_temporal.model.plan import ChangeAction, DefinitionsPlan, PlannedChange
from pulse_temporal.model.values import Value

Flag = Annotated[bool, Parameter(negative=())]
SetName = Annotated[str | None, Parameter(name="--set")]

SIGNS: dict[ChangeAction, tuple[str, str]] = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "delete": ("-", "red"),
    "drift": ("!", "bold yellow"),
    "none": ("=", "dim"),
}
COLUMNS = (  # tenant, sign, key, version, what; without titles
    Column(title=""),
    Column(title=""),
    Column(title=""),
    Column(title=""),
    Column(title="", is_flexible=True),
)
SHOWN_FIELDS = 4


class ProblemInFile(Value):
    """What is wrong in a file, as JSON."""

    file: str
    line: int
    pointer: str
    message: str
    hint: str | None = None


def validate(file: Path, /, *more: Path, options: GlobalOptions = DEFAULTS) -> int:
    """Check definitions in files without storing them; exit code 1 when something is wrong.

    Parameters
    ----------
    file:
        A YAML or JSON file, or a folder of them.
    more:
        Further ones.
    """
    out = Output(options)
    found = read_files([file, *more], tenant=tenant_of(options) or "any-tenant")
    documents = found.documents

    async def check(pulse: Pulse) -> tuple[list[FileProblem], list[FileProblem]]:
        problems, warnings = list(found.problems), list[FileProblem]()
        for document in documents:
            report = await pulse.definitions.validate(document.content)
            problems += _located(document, report.problems)
            warnings += _located(document, report.warnings)
        return problems, warnings

    problems, warnings = with_pulse(options, check)
    told = list(dict.fromkeys(problems))
    _print_problems(out, told)
    if out.is_table:
        for warning in dict.fromkeys(warnings):
            out.warn(_problem_line(warning).plain)
    out.note(f"{len(documents)} checked, {len(told)} wrong.")
    return Exit.FAILED if told else Exit.OK


def plan(
    folder: Path,
    /,
    *,
    set_name: SetName = None,
    prune: Flag = False,
    force: Flag = False,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Show what apply would do; nothing is changed.

    Parameters
    ----------
    folder:
        With YAML and JSON files.
    set_name:
        What belongs together; the folder's name without it.
    prune:
        Also delete definitions of this set that are in no file any more.
    force:
        Also overwrite what was changed by hand.
    """
    return _run(folder, set_name, (prune, force), options, applies=False)


def apply(
    folder: Path,
    /,
    *,
    set_name: SetName = None,
    prune: Flag = False,
    force: Flag = False,
    check: Flag = False,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Make what is stored equal to the files of a folder, a transaction for each tenant.

    All files are checked before anything is changed. What was changed by hand since the last
    time is told and left alone; the exit code is 1 then.

    Parameters
    ----------
    folder:
        With YAML and JSON files.
    set_name:
        What belongs together; the folder's name without it.
    prune:
        Delete definitions of this set that are in no file any more.
    force:
        Overwrite what was changed by hand.
    check:
        Change nothing; exit code 1 when there is something to change, for CI.
    """
    if check:
        return _run(folder, set_name, (prune, force), options, applies=False, checks=True)
    return _run(folder, set_name, (prune, force), options, applies=True)


def _run(
    folder: Path,
    set_name: str | None,
    how: tuple[bool, bool],
    options: GlobalOptions,
    *,
    applies: bool,
    checks: bool = False,
) -> int:
    out = Output(options)
    found = read_files([folder], tenant=tenant_of(options))
    if found.problems:
        _print_problems(out, found.problems)
        out.note("Nothing was done.")
        return Exit.FAILED
    name = set_name or folder.absolute().name
    contents = [document.content for document in found.documents]
    prune, force = how

    async def work(pulse: Pulse) -> DefinitionsPlan:
        planned = await pulse.definitions.plan(contents, set_name=name, prune=prune, force=force)
        if not applies or planned.problems or planned.is_empty:
            return planned
        deleted = planned.count("delete")
        if deleted:
            out.confirm(f"Delete {deleted} definition{'' if deleted == 1 else 's'}?")
        try:
            return await pulse.definitions.apply(contents, set_name=name, prune=prune, force=force)
        except DefinitionError as error:  # a worker went, or came, between the two
            return planned.model_copy(update={"problems": error.problems})

    made = with_pulse(options, work)
    if made.problems:
        _print_problems(out, list(_in_files(found.documents, made.problems)))
        out.note("Nothing was done.")
        return Exit.FAILED
    if not out.data(made):
        _print_plan(out, made)
    has_work = made.count("drift") > 0 or (checks and not made.is_empty)
    return Exit.FAILED if (applies or checks) and has_work else Exit.OK


def _in_files(
    documents: Sequence[FlowDocument], problems: Iterable[Problem]
) -> Iterable[FileProblem]:
    for problem in problems:
        number, _, inside = problem.pointer.removeprefix("/").partition("/")
        pointer = f"/{inside}" if inside else ""
        document = documents[int(number)]
        moved = Problem(pointer, problem.message, problem.hint)
        yield from _located(document, [moved])


def _located(document: FlowDocument, problems: Iterable[Problem]) -> list[FileProblem]:
    return [
        FileProblem(
            document.path,
            document.line_of(problem.pointer),
            problem.pointer,
            problem.message,
            problem.hint,
        )
        for problem in problems
    ]


def _print_problems(out: Output, problems: Sequence[FileProblem]) -> None:
    if not out.is_table:
        items = [
            ProblemInFile(
                file=str(each.path),
                line=each.line,
                pointer=each.pointer,
                message=each.message,
                hint=each.hint,
            )
            for each in problems
        ]
        out.data(items)
        return
    for each in problems:
        out.line(_problem_line(each))


def _problem_line(problem: FileProblem) -> Text:
    hint = f"; {problem.hint}" if problem.hint else ""
    return Text.assemble(
        (f"{printable(str(problem.path))}:{problem.line}", "bold"),
        f"  {printable(problem.pointer or '/')}  {printable(problem.message + hint)}",
    )


def _print_plan(out: Output, made: DefinitionsPlan) -> None:
    shown = [change for change in made.changes if change.action != "none"]
    rows = [
        [
            Cell(change.tenant_id),
            Cell(*SIGNS[change.action]),
            Cell(change.key),
            Cell(f"v{change.version}" if change.version else "", "dim"),
            Cell(_what(change)),
        ]
        for change in shown
    ]
    for line in table_lines(COLUMNS, rows, width=out.width)[1:]:  # a plan needs no titles
        out.line(line)
    counts = [
        ("to add", "added", made.count("create")),
        ("to change", "changed", made.count("update")),
        ("to delete", "deleted", made.count("delete")),
        ("drift", "drift left alone", made.count("drift")),
    ]
    place = 1 if made.is_applied else 0
    told = ", ".join(f"{count[2]} {count[place]}" for count in counts if count[2])
    head = "Applied" if made.is_applied else "Plan"
    end = "" if made.is_applied else " Nothing was done."
    out.note(f"{head}: {told or 'nothing to do'}.{end}")
    if made.count("drift"):
        out.note("--force overwrites what was changed by hand.")


def _what(change: PlannedChange) -> str:
    if change.drift:
        return change.drift if change.action == "drift" else f"{change.drift}; overwritten"
    texts = list(_differences(change.difference))
    more = f" and {len(texts) - SHOWN_FIELDS} more" if len(texts) > SHOWN_FIELDS else ""
    return ", ".join(texts[:SHOWN_FIELDS]) + more


def _differences(difference: DefinitionDifference) -> Iterable[str]:
    for field in difference.fields:
        yield _field(field)
    for step in difference.steps:
        inside = ", ".join(_field(field) for field in step.fields)
        yield f"{step.name} {inside or step.outcome}"


def _field(field: FieldDifference) -> str:
    if field.outcome == "changed":
        return f"{field.field} {_short(field.old)} → {_short(field.new)}"
    return f"{field.field} {field.outcome}"


def _short(value: JsonValue) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:39]}…"  # noqa: PLR2004 - columns


def export(folder: Path | None = None, /, *, options: GlobalOptions = DEFAULTS) -> int:
    """Write definitions as YAML, which apply reads: to files of a folder, or to standard output.

    Parameters
    ----------
    folder:
        Each definition becomes a file in it, named by tenant and key; files that are there are
        not overwritten.
    """
    out = Output(options)

    async def read(pulse: Pulse) -> list[WorkflowDefinition]:
        return [each async for each in pulse.definitions.iterate()]

    found = with_pulse(options, read)
    if folder is None:
        for each in found:
            out.line(f"---\n{_yaml(each)}".rstrip())
    else:
        _write(out, folder, found)
    keyless = sum(each.key is None for each in found)
    if keyless:
        out.warn(f"{keyless} have no key; apply needs one, by which it finds them again.")
    return Exit.OK


def _write(out: Output, folder: Path, found: Sequence[WorkflowDefinition]) -> None:
    for each in found:
        name = re.sub(r"[^A-Za-z0-9._-]", "-", each.key or each.id).lstrip(".-") or each.id
        owner = re.sub(r"[^A-Za-z0-9._-]", "-", each.tenant_id).lstrip(".-") or "tenant"
        path = folder / owner / f"{name}.yaml"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(_yaml(each))
        except FileExistsError:
            raise UsageError(f"{path} exists; choose an empty folder.") from None
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error}") from error
        out.line(str(path))


def _yaml(definition: WorkflowDefinition) -> str:
    """Return a definition as apply reads it; what has its default is left out."""
    content = definition.model_dump(
        mode="json",
        include=set(WorkflowInput.model_fields) - {"tenant_id"},
        exclude_none=True,
        warnings=False,
    )
    key = {"key": content.pop("key")} if "key" in content else {}
    if not content.get("config"):
        content.pop("config", None)
    if content.get("isEnabled"):
        content.pop("isEnabled")
    text = StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # pyright: ignore[reportAttributeAccessIssue] - typed as None
    writer.allow_unicode = True
    writer.width = 100
    dump: Callable[[object, StringIO], object] = writer.dump  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - ruamel has no types
    dump({**key, "tenants": [definition.tenant_id], **content}, text)
    return text.getvalue()
