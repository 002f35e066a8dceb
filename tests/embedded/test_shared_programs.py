"""Root copies Postgres to where its service user can run it; several first starts may meet."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest

from pulse_temporal.embedded import identity
from pulse_temporal.embedded.binaries import find_postgres
from pulse_temporal.embedded.identity import copy_programs, is_true_for
from pulse_temporal.embedded.process import SAME_USER

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="changes users, which only root can"
)


async def test_copies_at_the_same_moment_are_one_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first to be complete stays, and the others use it."""
    monkeypatch.setattr(identity, "SHARED_FOLDER", tmp_path / "shared")
    programs = find_postgres()

    copies = await asyncio.gather(*(asyncio.to_thread(copy_programs, programs) for _ in range(3)))

    assert {copy.folder for copy in copies} == {copies[0].folder}
    assert (copies[0].postgres).is_file()
    assert len(list((tmp_path / "shared").iterdir())) == 1, "what was copied in vain is gone"


def test_a_probe_that_hangs_is_not_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder on a server that does not answer must not end the start with a bare error."""
    hanging = tmp_path / "test"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(hanging.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(identity, "PROBE_SECONDS", 0.3)

    assert not is_true_for(SAME_USER, ("-x", "/"))
