"""Decide as which user Postgres runs, and where its data is: Postgres refuses to run as root.

An ordinary user keeps its own identity. Root becomes an ordinary user of a new user namespace,
outside of which all files still belong to root. Where that is denied (by many container
runtimes), the server runs as ``postgres`` or ``nobody``; a folder that this user cannot reach is
replaced by one below ``SHARED_FOLDER``, and programs that it cannot reach are copied there. Mode
and owner of folders that Pulse did not make are never changed.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from pulse_temporal.embedded.binaries import PostgresPrograms
from pulse_temporal.embedded.process import OWN_NAMESPACE, SAME_USER, watchdog_command
from pulse_temporal.errors import EmbeddedServiceError

SHARED_FOLDER = Path("/var/lib/pulse-dev")
SERVICE_USERS = ("postgres", "nobody")
PROBE_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where, and as which user, one Postgres runs.

    Attributes:
        identity: For the watchdog: ``same``, ``namespace`` or ``UID:GID``.
        data: The data folder; its parent exists.
        programs: Programs that this identity can execute.
    """

    identity: str
    data: Path
    programs: PostgresPrograms

    def hand_over(self, path: Path) -> None:
        """Make the user that Postgres runs as the owner of ``path``, which we have just made."""
        if ":" in self.identity:
            user, group = self.identity.split(":")
            os.chown(path, int(user), int(group))


def choose_place(folder: Path, programs: PostgresPrograms) -> Place:
    """Return how Postgres can run on the data in ``folder``.

    Data that exists is opened by the user who owns it: Postgres accepts no other.

    Raises:
        EmbeddedServiceError: There is no user who may run the server on this data.
    """
    place = Place(identity=SAME_USER, data=folder / "pg", programs=programs)
    if os.geteuid() != 0:
        return place
    owner = place.data.stat().st_uid if place.data.exists() else None
    reachable = ("-x", f"{folder}", "-a", "-x", f"{programs.postgres}")
    # Tried, not looked up: whether a namespace is allowed, and what can be reached from within,
    # depends on kernel, container runtime and security modules.
    if not owner and is_true_for(OWN_NAMESPACE, reachable):
        return replace(place, identity=OWN_NAMESPACE)
    if owner == 0:
        raise EmbeddedServiceError(
            f"The Postgres data in {place.data} belongs to root, and this system does not let"
            " root open a user namespace for it. Allow user namespaces, or choose another folder."
        )
    return drop_privileges(place, user=service_user(owner))


def drop_privileges(place: Place, *, user: pwd.struct_passwd) -> Place:
    """Return a place for ``user``, with data and programs that this user can reach."""
    identity = f"{user.pw_uid}:{user.pw_gid}"
    data, programs = place.data, place.programs
    if not is_true_for(identity, ("-x", f"{data.parent}")):
        data = make_shared_folder(f"data-{digest(data)}") / data.name
    if not is_true_for(identity, ("-x", f"{programs.postgres}")):
        programs = copy_programs(programs)
    return Place(identity=identity, data=data, programs=programs)


def service_user(owner: int | None) -> pwd.struct_passwd:
    """Return the owner of the data; without data, the first service user that exists here.

    Raises:
        EmbeddedServiceError: The owner is unknown, or there is no service user.
    """
    try:
        if owner is not None:
            return pwd.getpwuid(owner)
    except KeyError:
        raise EmbeddedServiceError(f"The Postgres data belongs to unknown user {owner}.") from None
    for name in SERVICE_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedServiceError(
        "Postgres does not run as root, and this system has neither user namespaces nor a user"
        f" {' or '.join(SERVICE_USERS)}. Start Pulse as an ordinary user."
    )


def is_true_for(identity: str, condition: tuple[str, ...]) -> bool:
    """Return whether a condition of test(1) is true for ``identity``.

    False also if that is denied, or has no answer after ``PROBE_SECONDS``: a folder on a server
    that does not answer cannot be used.
    """
    program = shutil.which("test")
    if program is None:
        return False
    with subprocess.Popen(  # noqa: S603  # absolute paths, no shell
        watchdog_command(identity, "9:1", [program, *condition]),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    ) as probe:
        try:
            return probe.wait(PROBE_SECONDS) == 0
        except subprocess.TimeoutExpired:
            return False  # at the end of the block its standard input closes, which ends it


def make_shared_folder(name: str) -> Path:
    """Return a folder below ``SHARED_FOLDER`` that every user may cross; make it if missing."""
    path = SHARED_FOLDER / name
    for part in (SHARED_FOLDER, path):
        if not part.exists():
            part.mkdir(mode=0o711, exist_ok=True)  # two first starts may meet here
            part.chmod(0o711)
    return path


def copy_programs(programs: PostgresPrograms) -> PostgresPrograms:
    """Copy the installation (about 40 MB, once) to where every user can execute it.

    A wheel's programs look for their libraries in ``../../../<package>.libs``, so that part
    of the tree keeps its shape. It is copied under another name and renamed when complete: a
    copy that was interrupted is never used, and of two that are made at the same moment the
    first to be complete is.
    """
    installation = programs.folder.parent
    package = installation.parent
    target = SHARED_FOLDER / f"postgres-{digest(programs.folder)}"
    if not target.exists():
        make_shared_folder("")
        partial = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=SHARED_FOLDER))
        shutil.copytree(installation, partial / package.name / installation.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name)
        open_to_all(partial)
        partial.chmod(0o711)
        try:
            partial.rename(target)
        except OSError:
            if not target.exists():
                raise
            shutil.rmtree(partial)
    copied = target / package.name / installation.name / programs.folder.name
    return replace(programs, folder=copied)


def open_to_all(folder: Path) -> None:
    """Allow every user to read and execute a tree that we made, whatever its source allowed."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if mode & 0o100 else 0o444))


def digest(path: Path) -> str:
    """Return a name for a path: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
