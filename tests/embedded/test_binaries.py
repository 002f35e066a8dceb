"""Finding the programs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pulse_temporal.embedded import binaries
from pulse_temporal.embedded.binaries import find_postgres, find_temporal
from pulse_temporal.errors import EmbeddedServiceError


def write_program(path: Path, *, prints: str) -> Path:
    """Make an executable file that prints a line."""
    path.write_text(f"#!/bin/sh\necho '{prints}'\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_the_programs_of_this_environment_are_found() -> None:
    assert find_postgres().major >= 15
    assert find_temporal().name == "temporal"


def test_no_temporal_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULSE_TEMPORAL_BIN", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EmbeddedServiceError, match=r"its extra \[embedded\]"):
        find_temporal()


def test_no_postgres_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULSE_PG_BIN", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(binaries, "POSTGRES_WHEELS", (("no_such_wheel", "bin"),))
    monkeypatch.setattr(binaries, "POSTGRES_FOLDERS", ("/nowhere/{major}",))
    with pytest.raises(EmbeddedServiceError, match=r"its extra \[embedded\]"):
        find_postgres()


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_variable_that_names_no_program(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_TEMPORAL_BIN", str(tmp_path / name))
    monkeypatch.setenv("PULSE_PG_BIN", str(tmp_path / name))
    with pytest.raises(EmbeddedServiceError, match="PULSE_TEMPORAL_BIN"):
        find_temporal()
    with pytest.raises(EmbeddedServiceError, match="PULSE_PG_BIN"):
        find_postgres()


def test_an_old_postgres_on_path_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(tmp_path / "postgres", prints="postgres (PostgreSQL) 14.9 (Debian 14.9-1)")
    write_program(tmp_path / "initdb", prints="")
    monkeypatch.setenv("PULSE_PG_BIN", str(tmp_path))
    with pytest.raises(EmbeddedServiceError, match="version 15 or newer"):
        find_postgres()


def test_the_variables_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(tmp_path / "postgres", prints="postgres (PostgreSQL) 16.2")
    write_program(tmp_path / "initdb", prints="")
    monkeypatch.setenv("PULSE_PG_BIN", str(tmp_path))
    monkeypatch.setenv("PULSE_TEMPORAL_BIN", str(write_program(tmp_path / "t", prints="")))
    assert (find_postgres().folder, find_postgres().major) == (tmp_path, 16)
    assert find_temporal() == tmp_path / "t"
