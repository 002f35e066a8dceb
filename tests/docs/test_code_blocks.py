"""What the documentation shows is run: Python and SQL for real, commands by name."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from pulse_temporal import Engine
from pulse_temporal.cli.app import app
from pulse_temporal.embedded import EmbeddedServices
from tests.docs.pages import PAGES, ROOT, Block, blocks_of, name_of

RUN = [page for page in PAGES if {b.language for b in blocks_of(page)} & {"python", "sql"}]
NOT_RUN = {"CONTRIBUTING.md"}  # shows fragments of workflow code
FOREIGN_COMMANDS = {"cd", "curl", "kill", "docker", "psql", "pytest", "temporal", "uvicorn"}


@pytest.mark.parametrize(
    "page", [page for page in RUN if name_of(page) not in NOT_RUN], ids=name_of
)
async def test_the_code_of_a_page_runs(
    page: Path,
    servers: EmbeddedServices,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its blocks share names, as in one file; a ``text`` block is what the code above prints."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("TEMPORAL_ADDRESS", servers.temporal_address)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    printed = ""
    try:
        for block in blocks_of(page):
            match block.language:
                case "python":
                    printed = await run_python(block, page, names)
                case "sql":
                    await run_sql(block, database)
                case "text":
                    assert printed == block.text, f"{name_of(page)}:{block.line}"
                case _:
                    pass
    finally:
        for value in list(names.values()):
            if isinstance(value, Engine):
                await value.stop()


async def run_python(block: Block, page: Path, names: dict[str, object]) -> str:
    """Run a block, which may await at its top level; give what it prints."""
    source = "\n" * (block.line - 1) + block.text
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, str(page), "exec", flags=flags, dont_inherit=True)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        if code.co_flags & inspect.CO_COROUTINE:
            await eval(code, names)  # noqa: S307 - our own documentation
        else:  # in a thread, because it may call asyncio.run
            await asyncio.to_thread(eval, code, names)
    return out.getvalue()


async def run_sql(block: Block, dsn: str) -> None:
    """Run the statements of a block."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(block.text)
    finally:
        await connection.close()


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the words of every command in the shell blocks."""
    for page in PAGES:
        for block in blocks_of(page):
            if block.language not in ("bash", "sh", "shell", "console"):
                continue
            for number, line in enumerate(block.text.replace("\\\n", " ").splitlines()):
                words = line.partition("#")[0].split()
                while words and "=" in words[0]:  # VARIABLE=value in front of a command
                    words.pop(0)
                if words:
                    yield f"{name_of(page)}:{block.line + number}", words


TARGETS = frozenset(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
EXTRAS = frozenset(
    tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
)


def unknown_words(words: list[str]) -> list[str]:
    """Return the targets, commands, scripts and extras of a command that do not exist."""
    first, *rest = words
    match first:
        case "make":
            return [w for w in rest if re.fullmatch("[a-z]+", w) and w not in TARGETS]
        case "pulse":
            return unknown_commands(rest)
        case "python":
            return [w for w in rest[:1] if w.endswith(".py") and not (ROOT / w).is_file()]
        case "pip":
            listed = re.findall(r"(?:pulse-workflows|\.)\[([\w,]+)\]", " ".join(rest))
            return [extra for text in listed for extra in text.split(",") if extra not in EXTRAS]
        case _:
            return [] if first in FOREIGN_COMMANDS or first.startswith(".") else [first]


def unknown_commands(words: list[str]) -> list[str]:
    """Return the first word that is no command; a group of commands needs one of its own."""
    place = app
    for word in words:
        if word not in place:
            return [] if place.default_command or word.startswith("-") else [word]
        place = place[word]
    return []


def test_commands_exist() -> None:
    seen = list(commands())

    wrong = [f"{place}: {word}" for place, words in seen for word in unknown_words(words)]
    assert len(seen) > 5
    assert not wrong
