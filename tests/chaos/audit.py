"""Compare what the emitter was told and what the handlers did with what Postgres says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import asyncpg

from pulse_temporal.postgres.connection import Connection
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.database import Database
from pulse_temporal.store.invariants import violations
from pulse_temporal.store.statements import NAME
from tests.chaos.findings import Finding, Kind
from tests.chaos.journal import Entry
from tests.chaos.workload import PATIENCE

CHECKS = Path(__file__).with_name("checks.sql")

SESSIONS = "drift_of_a_session"

KINDS: dict[str, Kind] = {
    "run_ended_and_went_on": "regression",
    "step_recorded_twice": "duplicate",
    "step_started_after_its_record": "regression",
}
"""Of the store's invariants; the others are drift."""

EVIDENCE = """
CREATE TEMPORARY TABLE chaos_told (
    did text, trigger_id text, run_id text, key text, at timestamptz, generation integer
);
CREATE TEMPORARY TABLE chaos_calls (run_id text, path text);
"""


async def audit_postgres(dsn: str, *, entries: Sequence[Entry], effects: Path) -> list[Finding]:
    """Return all that does not fit.

    Args:
        dsn: Straight to the server.
        entries: The emitter's journal.
        effects: Folder in which the handlers wrote.
    """
    database = Database(dsn, prefix="pulse_", timeout=PATIENCE * 10, size=1)
    try:
        async with database.session() as session:
            await _load(session.connection, entries, effects)
            return [
                *await _broken_invariants(session),
                *await _failed_checks(session.connection),
                *_surprises(entries),
            ]
    finally:
        await database.close()


async def audit_sessions(dsn: str) -> list[Finding]:
    """Return the transactions that nobody ends; ask while the workers still live."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(dict(statements())[SESSIONS])
    finally:
        await connection.close()
    return [Finding(kind_of(SESSIONS), SESSIONS, str(row["subject"])) for row in rows]


async def _load(connection: Connection, entries: Sequence[Entry], effects: Path) -> None:
    """Bring the evidence to where it can be joined."""
    await connection.execute(EVIDENCE)
    told = [
        (entry.did, entry.trigger, run_id, entry.key, entry.at, entry.generation)
        for entry in entries
        for run_id in entry.runs or (None,)
    ]
    await connection.copy_records_to_table("chaos_told", records=told)
    await connection.copy_records_to_table("chaos_calls", records=list(calls(effects)))
    await connection.execute("ANALYZE")


def calls(effects: Path) -> Iterator[tuple[str, str]]:
    """Yield run and path of every effect that plain actions had."""
    for file in effects.iterdir():
        for line in file.read_text(encoding="ascii").splitlines():
            run_id, path = line.split()
            yield run_id, path


async def _broken_invariants(session: Session) -> list[Finding]:
    return [
        Finding(KINDS.get(name, "drift"), name, subject)
        for name, subjects in (await violations(session)).items()
        for subject in subjects
    ]


async def _failed_checks(connection: Connection) -> list[Finding]:
    found: list[Finding] = []
    for name, text in statements():
        subjects = [str(row["subject"]) for row in await connection.fetch(text)]
        found += [Finding(kind_of(name), name, subject) for subject in subjects]
    return found


def statements() -> Iterator[tuple[str, str]]:
    """Yield the checks by name."""
    _, *parts = NAME.split(CHECKS.read_text(encoding="utf-8"))
    yield from zip(parts[::2], parts[1::2], strict=True)


def kind_of(name: str) -> Kind:
    """Return the kind that a check's name begins with."""
    kinds: tuple[Kind, ...] = get_args(Kind)
    return next(kind for kind in kinds if name.startswith(f"{kind}_"))


def _surprises(entries: Sequence[Entry]) -> list[Finding]:
    """Return the errors that no caller of the engine should meet."""
    return [
        Finding("drift", "unexpected error", f"operation {entry.op}: {entry.error}")
        for entry in entries
        if entry.did == "surprised"
    ]
