"""The page for newcomers is true: every command, every edit and every line that it shows."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from signal import SIGINT

from tests.cli.conftest import Do
from tests.cli.projects import next_worker, start_dev, workers_of
from tests.docs.pages import ROOT, Block, blocks_of
from tests.processes import Program, Programs, kill_at_once

BEFORE = ("pip ", "pulse init ", "cd ", "pulse dev", "pytest")
"""Commands that the test's set-up stands for; test_dev.py runs the test of a new project."""

VARIES = re.compile(r"(?:run|trg|wfd)_[0-9a-f]+|\d+(?:[.:]\d+)*|\s+")


def pattern_of(line: str) -> re.Pattern[str]:
    """Return what a line looks like when ids, numbers and the width of columns are its own."""
    parts = VARIES.split(line.strip())
    return re.compile(r"\S*\s*".join(map(re.escape, parts)))


def assert_printed(block: Block, output: str) -> None:
    """Check that the lines of a block stand in an output in this order; others may lie between."""
    rest = output
    for line in filter(str.strip, block.text.splitlines()):
        found = pattern_of(line).search(rest)
        assert found is not None, f"start.md:{block.line}: {line!r} is not in\n{rest}"
        rest = rest[found.end() :]


def apply(hello: Path, block: Block) -> None:
    """Make the change that a block shows."""
    lines = block.text.splitlines()
    old, new = (
        "\n".join(line[1:] for line in lines if not line.startswith(sign)) for sign in "+-"
    )
    file = hello / "app.py"
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"start.md:{block.line}: does not fit app.py"
    file.write_text(text.replace(old, new), encoding="utf-8")


class Reader:
    """Somebody who does what the page says.

    Attributes:
        output: What the last command has printed.
    """

    def __init__(self, hello: Path, do: Do, dev: Program) -> None:
        self.hello = hello
        self.do = do
        self.dev = dev
        self.output = dev.stdout
        self._run_id = ""
        self._workers = 1

    async def follow(self, block: Block) -> None:
        """Do what a block of the page shows, or check that it is true."""
        match block.language:
            case "bash":
                for line in block.text.splitlines():
                    await self._enter(line.partition("#")[0].strip())
            case "text":
                assert_printed(block, self.output)
            case "diff":
                apply(self.hello, block)
                await self._next_worker()
            case _:
                raise AssertionError(f"start.md:{block.line}: nobody follows {block.language!r}")

    async def _enter(self, command: str) -> None:
        if command.startswith(BEFORE):
            return
        if command.startswith("kill -9 "):
            kill_at_once(workers_of(self.dev)[-1])
            await self._next_worker()
            return
        words = re.sub(r"run_[0-9a-f]+", self._run_id, command).split()
        told = await self.do(*words[1:])
        self.output = told.stdout
        if found := re.search(r"run_[0-9a-f]{32}", told.stdout):
            self._run_id = found[0]

    async def _next_worker(self) -> None:
        self._workers += 1
        await next_worker(self.dev, self._workers)


async def test_the_page_is_true(hello: Path, do: Do, programs: Programs) -> None:
    dev = start_dev(programs, hello)
    await dev.says("flows    create  incident")
    await next_worker(dev, 1)
    reader = Reader(hello, do, dev)

    for block in blocks_of(ROOT / "docs" / "start.md"):
        await reader.follow(block)

    assert await asyncio.to_thread(dev.end, SIGINT) == 0
