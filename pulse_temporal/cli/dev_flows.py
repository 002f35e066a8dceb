"""The flows of ``pulse dev``: definitions in files, applied at the start and when they change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from pulse_temporal.cli.flow_files import FlowDocument, FlowFiles, read_files
from pulse_temporal.engine.facade import Engine
from pulse_temporal.errors import Problem, PulseError

SET = "flows"
TRIES = 5
"""Of applying them: a new worker publishes its handlers a moment after its start."""

PAUSE_SECONDS = 1.0


async def keep_applied(
    folder: Path, tenant: str, engine: Engine, *, tell: Callable[[str], None]
) -> None:
    """Apply the files of a folder, and tell what has changed, or at last what is wrong."""
    for number in range(TRIES):
        told, is_wrong = await _apply(folder, tenant, engine)
        if not is_wrong or number == TRIES - 1:
            for line in told:
                tell(f"flows    {line}")
            return
        await asyncio.sleep(PAUSE_SECONDS)


async def _apply(folder: Path, tenant: str, engine: Engine) -> tuple[list[str], bool]:
    """Apply the files once; return a line for each change or problem, and if there were some."""
    found = _read(folder, tenant)
    if found.problems:
        lines = [
            f"{each.path.name}:{each.line}  {each.pointer}  {each.message}"
            for each in found.problems
        ]
        return lines, True
    contents = [document.content for document in found.documents]
    try:
        planned = await engine.definitions.plan(contents, set_name=SET)
        if planned.problems:
            return [_line(found.documents, each) for each in planned.problems], True
        made = await engine.definitions.apply(contents, set_name=SET)
    except PulseError as error:
        return [str(error)], True
    changed = [change for change in made.changes if change.action != "none"]
    return [
        f"{change.action}  {change.key}{f'  {change.drift}' if change.drift else ''}"
        for change in changed
    ], False


def _read(folder: Path, tenant: str) -> FlowFiles:
    """Read the files; an application without the folder has none."""
    return read_files([folder] if folder.is_dir() else [], tenant=tenant)


def _line(documents: Sequence[FlowDocument], problem: Problem) -> str:
    number, _, inside = problem.pointer.removeprefix("/").partition("/")
    document = documents[int(number)]
    hint = f"; {problem.hint}" if problem.hint else ""
    place = f"{document.path.name}:{document.line_of(f'/{inside}')}"
    return f"{place}  /{inside}  {problem.message}{hint}"
