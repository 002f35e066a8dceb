"""Take back what foreign code has left on a connection, before somebody else gets it."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import asyncpg
from asyncpg.connection import LoggedQuery

from pulse_temporal.postgres.failures import AWAY
from pulse_temporal.postgres.sessions import Session

RESET = """
SELECT set_config('session_authorization', {user}, false), set_config('role', {role}, false);
SELECT pg_advisory_unlock_all();
CLOSE ALL;
UNLISTEN *;
RESET ALL;
DISCARD TEMP;
DISCARD SEQUENCES;
DO $$
DECLARE
    each text;
BEGIN
    FOR each IN SELECT name FROM pg_prepared_statements WHERE from_sql LOOP
        EXECUTE format('DEALLOCATE %I', each);
    END LOOP;
END $$;
"""
"""Like DISCARD ALL, but for two things: user and role become what they were on the pool's
connections, which the application may have chosen, and the statements that asyncpg has prepared
stay, as it would go on using them."""

LENDER = """
SELECT set_config('session_authorization', {user}, true), set_config('role', {role}, true);
"""

FORGETTING = re.compile(r"\b(?:DEALLOCATE|DISCARD)\b", re.IGNORECASE)
"""Statements after which asyncpg uses prepared statements that are gone."""


@asynccontextmanager
async def cleansed(session: Session, *, user: str, role: str) -> AsyncGenerator[None]:
    """Leave a connection after the block as it was before, or cut it.

    Args:
        session: On the connection.
        user: Session user of the pool's connections.
        role: What ``SET ROLE`` has made of it on them, or ``none``.
    """
    connection = session.connection
    has_forgotten = False

    def hear(query: LoggedQuery) -> None:
        nonlocal has_forgotten
        has_forgotten = has_forgotten or FORGETTING.search(query.query) is not None

    connection.add_query_logger(hear)
    try:
        yield
    finally:
        with suppress(asyncpg.InterfaceError):  # the pool has taken back what was closed
            connection.remove_query_logger(hear)
            if has_forgotten or connection.is_in_transaction():
                connection.terminate()
            else:
                await _reset(session, RESET.format(user=_literal(user), role=_literal(role)))


def rights_of(*, user: str, role: str) -> str:
    """Return SQL that gives the transaction the rights back that it began with.

    Args:
        user: As of ``cleansed``.
        role: As of ``cleansed``.
    """
    return LENDER.format(user=_literal(user), role=_literal(role))


async def _reset(session: Session, text: str) -> None:
    try:
        await session.connection.execute(text, timeout=session.timeout_seconds)
    except BaseException as error:
        with suppress(asyncpg.InterfaceError):  # the pool has taken back what was closed
            session.connection.terminate()
        if not isinstance(error, (*AWAY, asyncpg.PostgresError)):
            raise


def _literal(text: str) -> str:
    quoted = text.replace("'", "''").replace("\\", "\\\\")
    return f"E'{quoted}'"
