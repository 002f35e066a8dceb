"""Where a test run keeps its folders: in memory where there is room.

Every test has a database of its own. A copy of the template is some 300 files, which takes
half a second on a busy disk and 30 ms in memory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - the folder that Linux keeps in memory
NEEDED_BYTES = 6 << 30
PREFIX = "pulse-tests-"


def open_scratch() -> Path | None:
    """Make a folder in memory that this process and its children use as their temporary one.

    Returns:
        The folder, for ``close_scratch``; None when nothing was made, because ``TMPDIR`` is
        set (a worker process of the run, or the user's choice) or memory has no room.
    """
    if "TMPDIR" in os.environ or not MEMORY.is_dir():
        return None
    for old in MEMORY.glob(f"{PREFIX}*"):
        if not _is_alive(int(old.name.removeprefix(PREFIX))):  # its run was killed
            shutil.rmtree(old, ignore_errors=True)
    if shutil.disk_usage(MEMORY).free < NEEDED_BYTES:
        return None
    made = MEMORY / f"{PREFIX}{os.getpid()}"
    made.mkdir()
    made.chmod(0o1777)  # as usual: servers and some processes of the tests are other users'
    os.environ["TMPDIR"] = tempfile.tempdir = str(made)
    return made


def close_scratch(folder: Path | None) -> None:
    """Remove what ``open_scratch`` made."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
