"""Bring the tables to the version that this code knows.

Migrations are the files ``migrations/NNNN_pre_*.sql`` (before the code of a release) and
``NNNN_post_*.sql`` (after it), applied in order, each in one transaction together with the
row that records it. One advisory lock makes concurrent calls wait for each other.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.resources import files

import asyncpg

from pulse_temporal.errors import MigrationError, SchemaError
from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.failures import typed_errors
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store import definitions
from pulse_temporal.store.database import Database
from pulse_temporal.store.emit_function import install
from pulse_temporal.store.statements import RELATION

log: logging.Logger = logging.getLogger(__name__)

NAME = re.compile(r"^(\d{4})_(?:pre|post)_\w+\.sql$")
ADDITIVE = "_pre_"
"""Migrations of this name only add; an older release works on what they leave."""

TIMEOUT = timedelta(hours=1)
"""Bound of one migration, and of waiting for another process that migrates."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema, numbered from 1."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file; a released migration never changes."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@cache
def migrations() -> tuple[Migration, ...]:
    """Return all migrations of this release, oldest first."""
    folder = files("pulse_temporal.store").joinpath("migrations")
    found = [
        Migration(int(match[1]), match[0].removesuffix(".sql"), file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if (match := NAME.match(file.name))
    ]
    return tuple(sorted(found, key=lambda migration: migration.version))


async def migrate(database: Database, *, task_queue: str) -> list[str]:
    """Apply what is missing and give the names of what was applied.

    Tables of the TypeScript Pulse are adopted: their rows stay and can be read. The function
    that emits from SQL is made when it is missing or of an older release.
    Safe to call at every start, from many processes at once, and again after a crash.

    Args:
        database: Where the tables are.
        task_queue: Of the engines that will keep the cron schedules of adopted definitions, and
            that run what SQL emits without naming a queue.

    Raises:
        MigrationError: A migration that was applied differs from this release's, or the
            database is newer than this code, by more than additions.
    """
    applied: list[str] = []
    for migration in migrations() if await _is_anything_missing(database) else ():
        async with database.transaction() as session:
            if await _apply(session, migration, prefix=database.prefix):
                applied.append(migration.name)
    database.forget_schema()
    async with database.transaction() as session:
        await session.rows("migrations.lift_bounds")
        await session.rows_within(
            "migrations.lock", TIMEOUT, tables=f"{database.prefix}migrations"
        )
        await install(
            session,
            prefix=database.prefix,
            version=migrations()[-1].version,
            task_queue=task_queue,
        )
    async with database.transaction() as session:
        unreadable = await definitions.adopt(session, task_queue=task_queue)
    for definition_id in unreadable:
        facts = {"definition_id": definition_id}
        log.warning(
            "Definition %(definition_id)s of the TypeScript Pulse cannot be read, and matches no"
            " signal. Store it again, or delete it.",
            facts,
            extra=facts,
        )
    return applied


async def _is_anything_missing(database: Database) -> bool:
    """Look without locks: what is up to date needs no right to create anything."""
    try:
        async with database.session() as session:
            return bool(await missing(session))
    except SchemaError:
        return True


async def missing(session: Session) -> list[str]:
    """Name the migrations of this release that were not applied.

    Raises:
        MigrationError: A migration that was applied differs from this release's, or the
            database is newer than this code.
        SchemaError: None ever was.
    """
    done = await session.rows("migrations.applied")
    _compare(done)
    applied = {row["version"] for row in done}
    return [migration.name for migration in migrations() if migration.version not in applied]


async def _apply(session: Session, migration: Migration, *, prefix: str) -> bool:
    await session.rows("migrations.lift_bounds")
    await session.rows_within("migrations.lock", TIMEOUT, tables=f"{prefix}migrations")
    await session.run("migrations.create_ledger")
    done = await session.rows("migrations.applied")
    _compare(done)
    if migration.version in {row["version"] for row in done}:
        return False
    text = RELATION.sub(prefix, migration.text)
    try:
        with typed_errors():
            await session.connection.execute(text, timeout=TIMEOUT.total_seconds())
    except asyncpg.CheckViolationError as error:
        raise MigrationError(
            f"Migration {migration.name!r} was not applied: a row has a value that Pulse never"
            f" writes ({error}). Correct such rows and migrate again; runs go on meanwhile."
        ) from error
    await session.run(
        "migrations.record",
        version=migration.version,
        name=migration.name,
        checksum=migration.checksum,
    )
    return True


def _compare(done: list[Record]) -> None:
    known = {migration.version: migration for migration in migrations()}
    for row in done:
        migration = known.get(row["version"])
        if migration is None and ADDITIVE in row["name"]:
            continue  # a newer release is being rolled out; what it has added does not matter
        if migration is None:
            raise MigrationError(
                f"The database has migration {row['name']!r}, which this release does not know. "
                "It was migrated by a newer release: update this one."
            )
        if migration.checksum != row["checksum"]:
            raise MigrationError(
                f"Migration {row['name']!r} was applied with other content than this release "
                "has; applied migrations must never change."
            )
