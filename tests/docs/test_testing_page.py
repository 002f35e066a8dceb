"""The page about testing is followed as a reader would: its files, its settings, pytest."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

from tests.docs.pages import ROOT, blocks_of

PAGE = ROOT / "docs" / "how-to" / "test.md"


async def test_the_examples_of_the_page_pass_under_pytest(tmp_path: Path) -> None:
    blocks = [block for block in blocks_of(PAGE) if "await test_" not in block.text]
    written = {
        "pyproject.toml": [block.text for block in blocks if block.language == "toml"],
        "conftest.py": [block.text for block in blocks if block.language == "py"],
        "test_page.py": [block.text for block in blocks if block.language == "python"],
    }
    for name, texts in written.items():
        assert texts, f"the page shows no {name}"
        (tmp_path / name).write_text("\n".join(texts), encoding="utf-8")
    number = sum(text.count("async def test_") for text in written["test_page.py"])
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-q", "test_page.py"]
    done = await asyncio.create_subprocess_exec(
        *command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=PIPE,
        stderr=STDOUT,
    )
    output, _ = await asyncio.wait_for(done.communicate(), 120)
    assert f"{number} passed" in output.decode()
