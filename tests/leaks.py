"""What an engine must not leave behind once it has stopped: tasks, threads, sessions."""

from __future__ import annotations

import asyncio
import inspect
import threading
from datetime import timedelta
from pathlib import Path

import asyncpg

from tests.harness import eventually

HOUSE = Path(__file__).parents[1] / "pulse_temporal"
SERVERS = HOUSE / "embedded"
PATIENCE = timedelta(seconds=10)
"""How long the end of a task, a thread or a session may take to be seen."""

SESSIONS = """
SELECT concat(state, ': ', query) FROM pg_stat_activity
WHERE datname = $1 AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


async def assert_nothing_left(dsn: str | None = None, *, database: str | None = None) -> None:
    """Fail when something of an engine is left that should have ended.

    Args:
        dsn: How to ask the server of the engine's database, if that is to be asked.
        database: The name of the engine's database.
    """

    async def is_clean() -> bool:
        return not (_tasks() or _threads() or await _sessions(dsn, database))

    try:
        await eventually(is_clean, within=PATIENCE)
    except TimeoutError:
        left = [*_tasks(), *_threads(), *await _sessions(dsn, database)]
        assert left == [], f"an engine that has stopped left this behind: {left}"


def _tasks() -> list[str]:
    """Name the tasks that are an engine's or run its code."""
    return [
        f"task {task.get_name()}: {task.get_coro()}"
        for task in asyncio.all_tasks()
        if not task.done() and (task.get_name().startswith("pulse") or _is_ours(task))
    ]


def _is_ours(task: asyncio.Task[object]) -> bool:
    coroutine = task.get_coro()
    if not inspect.iscoroutine(coroutine):
        return False
    file = Path(coroutine.cr_code.co_filename)
    return HOUSE in file.parents and SERVERS not in file.parents


def _threads() -> list[str]:
    """Name the threads that run handlers, or wait for one."""
    return [
        f"thread {thread.name}"
        for thread in threading.enumerate()
        if thread.name.startswith("pulse-handler")
    ]


async def _sessions(dsn: str | None, database: str | None) -> list[str]:
    """Name the sessions of the engine's database, but for the one that asks."""
    if dsn is None:
        return []
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(SESSIONS, database)
    finally:
        await connection.close()
    return [f"session {row[0]}" for row in rows]
