"""Make a database for the length of a block, in any Postgres."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from secrets import token_hex
from urllib.parse import urlsplit

import asyncpg

SECONDS = 30.0


@asynccontextmanager
async def scratch_database(dsn: str) -> AsyncGenerator[str]:
    """Create an empty database and yield its DSN; drop it after the block.

    Args:
        dsn: Any database of the server, as a role that may create databases.
    """
    name = f"pulse_{token_hex(8)}"
    await _execute(dsn, f'CREATE DATABASE "{name}"')
    try:
        yield urlsplit(dsn)._replace(path=f"/{name}").geturl()
    finally:
        await _execute(dsn, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _execute(dsn: str, text: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=SECONDS)
    try:
        await connection.execute(text, timeout=SECONDS)
    finally:
        await connection.close(timeout=SECONDS)
