"""SQL functions for callers that have no engine: made from the engine's own statements.

A file of ``functions/`` holds one function. A line ``-- statement: x.y`` in it stands for the
named statement, so that there is one source for both. It is executed USING lines of
``name => value``, which are put in the order of its numbers. Functions are made anew when their
text changes, which the comment on each tells: it names the newest migration and a checksum.
"""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files

from pulse_temporal.postgres.failures import typed_errors
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.rows import required
from pulse_temporal.store.statements import Statement, relations_in, statements

STATEMENT = re.compile(r"^-- statement: ([\w.]+)$", re.MULTILINE)
ARGUMENTS = re.compile(r"(?<= USING\n)(?:.*[^;]\n)+.*(?=;\n)")
ARGUMENT = re.compile(r"^ *(\w+) => (.+?),?$", re.MULTILINE)
MIGRATED_BY = "migrated_by CONSTANT text := 'pulse'"
MARK = re.compile(r"^(migration (\d+), sha256 [0-9a-f]{64})(?:, queue .+)?$")


async def install(session: Session, *, prefix: str, version: int, task_queue: str) -> bool:
    """Make the functions that are missing or of another text.

    An application's role may migrate where nothing is to be done: one that may not replace a
    function whose text differs by the queue alone leaves it as its owner has made it.

    Two releases that migrate by turns do not undo each other's work: a function of a newer one
    stays as it is.

    Args:
        session: In a transaction that holds the lock of the migrations.
        prefix: What names begin with.
        version: Of the newest migration that this release knows.
        task_queue: Whose workers run what is emitted without a queue, when other queues have
            workers too, or none has. Its characters need no quoting.

    Returns:
        Whether something was made.
    """
    name = f"{prefix}emit"
    row = await session.row("migrations.find_place", table_name=f"{prefix}triggers")
    schema = required(row, "the schema of the tables")["schema"]
    text = emit_function(prefix=prefix, schema=schema)
    mark = f"migration {version}, sha256 {hashlib.sha256(text.encode()).hexdigest()}"
    told = f"{mark}, queue {task_queue}"
    found = await session.row("migrations.find_function", schema=schema, name=name)
    if found is not None:
        enough = told if found["is_replaceable"] else mark
        if not _is_outdated(found["comment"], version=version, enough=enough):
            return False
    text = text.replace(MIGRATED_BY, f"migrated_by CONSTANT text := '{task_queue}'")
    comment = relations_in(
        f"COMMENT ON FUNCTION pulse_emit IS '{told}'", prefix=prefix, schema=schema
    )
    with typed_errors():
        await session.connection.execute(f"{text};\n{comment}")
    return True


def emit_function(*, prefix: str, schema: str) -> str:
    """Return the text that makes the function ``<prefix>emit``, with the default queue.

    Args:
        prefix: What names begin with.
        schema: Where the tables and the function live.
    """
    known = statements(prefix=prefix, schema=schema)
    file = files("pulse_temporal.store").joinpath("functions", "emit.sql")
    text = relations_in(file.read_text(encoding="utf-8"), prefix=prefix, schema=schema)
    named = STATEMENT.search(text)
    statement = known[required(named, "a statement")[1]]
    text = ARGUMENTS.sub(lambda match: _in_order(match[0], statement), text)
    text = STATEMENT.sub(lambda _: statement.text.rstrip(";"), text)
    return text.strip().rstrip(";")


def _in_order(lines: str, statement: Statement) -> str:
    """Return the values of lines of ``name => value``, in the order of a statement's numbers."""
    values = statement.arguments(dict(ARGUMENT.findall(lines)))
    return ",\n".join(f"        {value}" for value in values)


def _is_outdated(comment: str | None, *, version: int, enough: str) -> bool:
    """Return whether a function is not this release's, nor a newer one's.

    Args:
        comment: On the function.
        version: As of ``install``.
        enough: The comment with which it is this release's, or the part before the queue.
    """
    match = MARK.match(comment or "")
    if match is None:
        return True
    return enough not in match.group(0, 1) and int(match[2]) <= version
