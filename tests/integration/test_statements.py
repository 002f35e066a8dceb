"""Postgres accepts every statement that we have, under any table prefix."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from pulse_temporal import create_engine
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.store.statements import PARAMETER, for_psql, statements
from tests.conftest import dsn_of, run_sql

PREFIXES = ("pulse_", "acme_")
NAMES = sorted(statements(prefix="pulse_", schema="public"))


@pytest.fixture(scope="module")
async def migrated(servers: EmbeddedServices) -> AsyncGenerator[asyncpg.Connection]:
    """Yield a connection to a database that has the tables under each prefix."""
    await run_sql(servers.dsn, 'CREATE DATABASE "pulse_statements"')
    dsn = dsn_of(servers.dsn, "pulse_statements")
    for prefix in PREFIXES:
        engine = create_engine(dsn, servers.temporal_address, table_prefix=prefix)
        await engine.migrate()
        await engine.stop()
    opened = await asyncpg.connect(dsn)
    yield opened
    await opened.close()
    await run_sql(servers.dsn, 'DROP DATABASE "pulse_statements"')


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", NAMES)
async def test_postgres_accepts(migrated: asyncpg.Connection, name: str, prefix: str) -> None:
    text = statements(prefix=prefix, schema="public")[name].text

    prepared = await migrated.prepare(text)

    used = {int(number) for number in re.findall(r"\$(\d+)", text)}
    assert used == set(range(1, len(prepared.get_parameters()) + 1)), "a parameter is unused"


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_printed_for_psql_is_accepted(
    migrated: asyncpg.Connection, name: str
) -> None:
    """psql puts the values that ``\\set`` names in the places of the parameters, as they stand."""
    printed = re.sub(r"^\\set .*$", "", for_psql(name), flags=re.MULTILINE)
    text = PARAMETER.sub(lambda match: "NULL" if match[2] else match[0], printed)

    prepared = await migrated.prepare(text)

    assert not prepared.get_parameters()


@pytest.mark.parametrize("name", NAMES)
def test_no_statement_names_a_table_without_its_prefix_and_schema(name: str) -> None:
    text = statements(prefix="acme_", schema='S p"ace')[name].text

    assert "pulse_" not in text
    assert text.count("acme_") == text.count('"S p""ace".acme_')
