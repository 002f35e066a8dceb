"""See how Postgres carries out the statements that a store function sends."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Literal

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from pulse_temporal.postgres.sessions import Session
from pulse_temporal.store.statements import statements

_names = count()
Planning = Literal["force_generic_plan", "force_custom_plan"]
Ask = Callable[[Session], Awaitable[object]]


class Node(BaseModel):
    """One node of an executed plan; rows and removed rows are means of its loops."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: str = Field(alias="Node Type")
    relation: str | None = Field(None, alias="Relation Name")
    loops: float = Field(alias="Actual Loops")
    rows: float = Field(alias="Actual Rows")
    removed: float = Field(0, alias="Rows Removed by Filter")
    removed_by_join: float = Field(0, alias="Rows Removed by Join Filter")
    removed_by_recheck: float = Field(0, alias="Rows Removed by Index Recheck")
    hit: int = Field(0, alias="Shared Hit Blocks")
    read: int = Field(0, alias="Shared Read Blocks")
    below: tuple[Node, ...] = Field((), alias="Plans")

    def walk(self) -> Iterator[Node]:
        """Yield the node and all below it."""
        yield self
        for node in self.below:
            yield from node.walk()

    @property
    def in_vain(self) -> float:
        """Rows that were read and then thrown away."""
        return self.loops * (self.removed + self.removed_by_join + self.removed_by_recheck)

    @property
    def sorted_rows(self) -> float:
        """Rows that it had to sort; 0 when it sorts nothing."""
        if "Sort" not in self.kind:
            return 0
        return sum(node.loops * node.rows for node in self.below)


@dataclass(frozen=True, slots=True)
class Plan:
    """How one statement was carried out."""

    root: Node

    @property
    def pages(self) -> int:
        """Pages looked at; what a statement changes on the side is no part of its root's."""
        changes = [node for node in self.root.walk() if node.kind == "ModifyTable"]
        beside = [node for node in changes if node is not self.root]
        return sum(node.hit + node.read for node in (self.root, *beside))


@dataclass
class Recorder:
    """A connection that notes what is sent over it."""

    connection: asyncpg.Connection
    sent: list[tuple[str, tuple[object, ...]]] = field(
        default_factory=list[tuple[str, tuple[object, ...]]]
    )

    async def fetch(
        self,
        text: str,
        *arguments: object,
        timeout: float | None = None,
    ) -> list[asyncpg.Record]:
        """Run a statement and give its rows."""
        self.sent.append((text, arguments))
        return await self.connection.fetch(text, *arguments, timeout=timeout)

    async def fetchrow(self, text: str, *arguments: object) -> asyncpg.Record | None:
        """Run a statement and give its first row."""
        self.sent.append((text, arguments))
        return await self.connection.fetchrow(text, *arguments)

    async def execute(self, text: str, *arguments: object) -> str:
        """Run a statement and give its tag."""
        self.sent.append((text, arguments))
        return await self.connection.execute(text, *arguments)


async def explain(connection: asyncpg.Connection, ask: Ask, *, planning: Planning) -> list[Plan]:
    """Return the executed plan of each statement that ``ask`` sends; what it changes is undone."""
    recorder = Recorder(connection)
    known = statements(prefix="pulse_", schema="public")
    async with undone(connection):
        await ask(Session(recorder, known, 10.0))  # pyright: ignore[reportArgumentType] - it has what a session uses
    plans: list[Plan] = []
    async with undone(connection):
        await connection.execute(f"SET LOCAL plan_cache_mode = {planning}")
        for text, arguments in recorder.sent:
            name = f"asked_{next(_names)}"
            await connection.execute(f"PREPARE {name} AS {text}")
            values = f"({', '.join(map(literal, arguments))})" if arguments else ""
            found: object = await connection.fetchval(
                f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE {name}{values}"
            )
            plans.append(Plan(Node.model_validate(json.loads(str(found))[0]["Plan"])))
    return plans


@asynccontextmanager
async def undone(connection: asyncpg.Connection) -> AsyncGenerator[None]:
    """Let nothing of the block remain."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


def literal(value: object) -> str:
    """Write a value as SQL; one of a list too, such as ours are."""
    match value:
        case None:
            return "NULL"
        case bool() | int():
            return str(value)
        case datetime():
            return f"'{value.isoformat()}'"
        case timedelta():
            return f"'{value.total_seconds()} s'"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:  # a list
            texts = json.dumps(value, default=str, ensure_ascii=False)
            return literal(f"{{{texts[1:-1]}}}")
