"""Make a database as it is after many runs: the engine plans one, SQL multiplies it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg

from pulse_temporal import create_engine
from pulse_temporal.clock import utc_now
from pulse_temporal.store.statements import NAME
from pulse_temporal.testing import action, condition, delay

QUEUE = "pulse"
NOWHERE = "127.0.0.1:9"
"""No Temporal answers here, and none is asked: the engines are never started."""

BIG = "tenant_0"
"""The tenant that one run in ten belongs to."""

SPAN = timedelta(days=90)
FEW_STEPS = (
    action("charge"),
    condition("is_large"),
    delay("wait", 60_000),
    action("ship"),
    action("mail"),
)
MANY_STEPS = tuple(action(f"step_{number}") for number in range(20))


@dataclass(frozen=True, slots=True)
class History:
    """How much there is.

    Attributes:
        runs: Of five steps each; a tenant has a hundred, one of them a tenth of all.
        definitions: Tenants have equally many.
        seed: Decides everything else.
    """

    runs: int
    definitions: int
    seed: int = 1

    @property
    def tenants(self) -> int:
        """How many tenants there are: no more than definitions."""
        return min(max(self.runs // 100, 1), self.definitions)

    @property
    def of_each(self) -> int:
        """How many definitions a tenant has."""
        return self.definitions // self.tenants

    @property
    def many_steps_every(self) -> int:
        """Among so many runs one has twenty steps."""
        return max(self.runs // 500, 10)


async def load(dsn: str, history: History) -> None:
    """Migrate a database and fill it; the last run has just ended."""
    templates = await _templates(dsn)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SET session_replication_role = replica; SET work_mem = '256MB'")
        await _fill(connection, history, *templates, until=utc_now())
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()


async def _templates(dsn: str) -> tuple[str, str]:
    """Let the engine make the tables and a definition of each kind; give their ids."""
    engine = create_engine(dsn, NOWHERE)
    try:
        await engine.migrate()
        few = await engine.create_workflow(_definition("template", FEW_STEPS))
        many = await engine.create_workflow(_definition("long", MANY_STEPS))
    finally:
        await engine.stop()
    return few.id, many.id


def _definition(type_: str, steps: object) -> dict[str, object]:
    return {"tenantId": BIG, "name": type_, "triggerType": type_, "steps": steps}


async def _fill(
    connection: asyncpg.Connection, history: History, few: str, many: str, *, until: datetime
) -> None:
    since = until - SPAN
    tenants, seed = history.tenants, history.seed
    arguments: dict[str, tuple[object, ...]] = {
        "definitions": (few, history.of_each * tenants, tenants, since),
        "plan": (
            *(seed, history.runs, tenants, history.of_each),
            *(since, until, history.many_steps_every, many),
        ),
        "triggers": (seed + 4, max(history.runs // 5, 1)),
        "control": (QUEUE,),
    }
    text = Path(__file__).with_name("load.sql").read_text(encoding="utf-8")
    _, *parts = NAME.split(text)
    for name, statement in zip(parts[::2], parts[1::2], strict=True):
        await connection.execute(statement, *arguments.get(name, ()))
