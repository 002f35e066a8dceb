"""Signals of several tenants share statements; what one of them costs or breaks is its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from pulse_temporal import PostgresUnavailableError, PulseError, TriggerEnvelope
from pulse_temporal.embedded import EmbeddedServices
from tests.harness import PulseTest, make_pulse

NOISY, QUIET, CALM = "noisy", "quiet", "calm"
EACH = 20
Outcome = TriggerEnvelope | BaseException

STORED = "SELECT count(*) FROM pulse_triggers WHERE tenant_id = $1"
SHARED = """
SELECT count(*) FROM (
    SELECT FROM pulse_triggers WHERE tenant_id = ANY ($1::text[])
    GROUP BY xmin::text HAVING count(DISTINCT tenant_id) > 1
) AS statements
"""
"""How many statements have stored signals of several of these tenants."""

TRAP = """
CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.tenant_id = 'noisy' THEN
        {};
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER trap BEFORE INSERT ON pulse_triggers FOR EACH ROW EXECUTE FUNCTION trap();
"""


@pytest.fixture
async def impatient(servers: EmbeddedServices, database: str) -> AsyncGenerator[PulseTest]:
    """Yield an engine that only emits, and whose statements may take a moment only."""
    made = make_pulse(
        database, servers.temporal_address, postgres_timeout=timedelta(milliseconds=1_500)
    )
    for tenant_id in (NOISY, QUIET, CALM):
        await made.define("order.paid", tenant_id=tenant_id)
    yield made
    await made.engine.stop()


async def emit_together(pulse: PulseTest, *tenants: str) -> dict[str, list[Outcome]]:
    """Emit signals of several tenants at the same moment, in turns."""
    order = [tenant_id for _ in range(EACH) for tenant_id in tenants]
    outcomes = await asyncio.gather(
        *(pulse.emit("order.paid", tenant_id=tenant_id) for tenant_id in order),
        return_exceptions=True,
    )
    pairs = list(zip(order, outcomes, strict=True))
    return {name: [outcome for owner, outcome in pairs if owner == name] for name in tenants}


@asynccontextmanager
async def locked_definition(dsn: str) -> AsyncGenerator[None]:
    """Let every run of the noisy tenant wait for the end of the block."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(
                "SELECT FROM pulse_workflow_definitions WHERE tenant_id = $1 FOR UPDATE", NOISY
            )
            yield
    finally:
        await connection.close()


def assert_all_stored(outcomes: list[Outcome]) -> None:
    """Check that each signal has its one run."""
    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    runs = [outcome.run_ids for outcome in outcomes if isinstance(outcome, TriggerEnvelope)]
    assert [len(run_ids) for run_ids in runs] == [1] * EACH


async def test_light_signals_of_many_tenants_share_statements(
    impatient: PulseTest, connection: asyncpg.Connection
) -> None:
    found = await emit_together(impatient, QUIET, CALM)

    assert_all_stored(found[QUIET])
    assert_all_stored(found[CALM])
    assert await connection.fetchval(SHARED, [QUIET, CALM]) > 0


async def test_a_tenant_whose_signals_take_too_long_fails_alone(
    impatient: PulseTest, connection: asyncpg.Connection
) -> None:
    """Also the second time, when it has been found out; and later it is served again."""
    async with locked_definition(impatient.dsn):
        first = await emit_together(impatient, NOISY, QUIET, CALM)
        second = await emit_together(impatient, NOISY, QUIET, CALM)
    after = await emit_together(impatient, NOISY, QUIET, CALM)

    for found in (first, second):
        assert_all_stored(found[QUIET])
        assert_all_stored(found[CALM])
        assert all(isinstance(outcome, PostgresUnavailableError) for outcome in found[NOISY])
    assert_all_stored(after[NOISY])
    assert await connection.fetchval(STORED, NOISY) == EACH
    assert await connection.fetchval(STORED, QUIET) == 3 * EACH
    assert await connection.fetchval(SHARED, [NOISY, QUIET, CALM]) > 0
    assert await connection.fetchval(SHARED, [NOISY, QUIET]) == 0


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(f"RAISE EXCEPTION 'as told' USING ERRCODE = '{code}'", id=name)
        for name, code in {
            "refused": "P0001",
            "serialization": "40001",
            "deadlock": "40P01",
            "canceled": "57014",
            "full": "53100",
            "lock": "55P03",
            "no table": "42P01",
            "no right": "42501",
            "value": "22003",
            "unique": "23505",
        }.items()
    ]
    + [pytest.param("PERFORM pg_terminate_backend(pg_backend_pid())", id="connection cut")],
)
async def test_what_a_tenants_signal_breaks_fails_that_tenant_alone(
    impatient: PulseTest, connection: asyncpg.Connection, failure: str
) -> None:
    await connection.execute(TRAP.format(failure))

    found = await emit_together(impatient, NOISY, QUIET)

    assert_all_stored(found[QUIET])
    assert all(
        isinstance(outcome, (PulseError, asyncpg.PostgresError)) for outcome in found[NOISY]
    )
    assert await connection.fetchval(STORED, NOISY) == 0
    assert await connection.fetchval(STORED, QUIET) == EACH


async def test_one_bad_signal_fails_no_other_of_its_tenant(
    impatient: PulseTest, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "ALTER TABLE pulse_triggers ADD CHECK (payload ->> 'bad' IS DISTINCT FROM 'yes')"
    )

    outcomes = await asyncio.gather(
        *(
            impatient.emit("order.paid", {"bad": "yes" if number == 9 else "no"})
            for number in range(EACH)
        ),
        return_exceptions=True,
    )

    failed = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)]
    assert failed == [9]
