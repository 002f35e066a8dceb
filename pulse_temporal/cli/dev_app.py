"""Find the application that ``pulse dev`` runs, and try whether it can be loaded."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tomllib
from pathlib import Path

from pulse_temporal.cli.exits import UsageError

REGISTER = re.compile(r"^def register\(", re.MULTILINE)
USUAL = ("app.py", "main.py")
CHECK = """
import sys
from pulse_temporal.engine.facade import create_engine
from pulse_temporal.engine.service import load_register
load_register(sys.argv[1])(create_engine("postgresql://nowhere/none"))
"""


def find_app(folder: Path, given: str) -> str:
    """Return the application as ``module:function``.

    It is the one that is given, else that of ``[tool.pulse]`` in ``pyproject.toml``, else of
    ``PULSE_APP``, else the one file that defines ``register``.

    Raises:
        UsageError: There is none, or more than one.
    """
    named = given or _configured(folder) or os.environ.get("PULSE_APP", "")
    if named:
        return named
    paths = [folder / name for name in USUAL]
    paths += sorted(folder.glob("*/pulse_app.py"))
    found = [path for path in paths if path.is_file() and REGISTER.search(_text(path))]
    modules = [".".join(path.relative_to(folder).with_suffix("").parts) for path in found]
    if len(modules) > 1:
        raise UsageError(f"Which application? pulse dev {modules[0]} or pulse dev {modules[1]}.")
    if not modules:
        raise UsageError(
            "No application is here: name one (pulse dev package.module:function), or make one "
            "with pulse init NAME."
        )
    return f"{modules[0]}:register"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _configured(folder: Path) -> str:
    path = folder / "pyproject.toml"
    if not path.is_file():
        return ""
    try:
        tool: object = tomllib.loads(_text(path)).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    section: object = tool.get("pulse") if isinstance(tool, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - TOML
    app: object = section.get("app") if isinstance(section, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - TOML
    return app if isinstance(app, str) else ""


async def loading_problem(app: str, folder: Path) -> str:
    """Load the application in a process of its own; return the traceback, ``""`` when all is well.

    So a mistake is seen before the worker that works is stopped.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CHECK,
        app,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        told, _ = await process.communicate()
    except BaseException:
        process.kill()
        raise
    text = told.decode(errors="replace").strip()
    return (text or "It ended while it was loaded.") if process.returncode else ""
