"""Runs the real command in a process of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import pytest

from tests.processes import Program, Programs


class StartPulse(Protocol):
    """Starts ``pulse`` with arguments."""

    def __call__(self, *arguments: str, terminal: bool = False, **environment: str) -> Program:
        """Give the process; what is left of it is ended after the test."""
        ...


@pytest.fixture
def start_pulse(tmp_path: Path, programs: Programs) -> StartPulse:
    """Start ``pulse`` processes; their temporary folders are in ``tmp_path``."""

    def start(*arguments: str, terminal: bool = False, **environment: str) -> Program:
        usual = {"TERM": "xterm", "COLUMNS": "100", "LINES": "35", "TMPDIR": str(tmp_path)}
        return programs.start(
            "-m",
            "pulse_temporal.cli",
            *arguments,
            terminal=terminal,
            environment={**os.environ, **usual, **environment},
        )

    return start
