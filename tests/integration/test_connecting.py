"""Wrong connection strings and unfit databases are told apart from a Postgres that is away."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from pulse_temporal import ConfigurationError, create_engine
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.engine.facade import Engine
from tests.conftest import dsn_of, run_sql
from tests.harness import make_pulse

TAILS = [
    "sslmode=prefer&channel_binding=require",
    "connect_timeout=5",
    "schema=public",
    "pgbouncer=true",
    "keepalives_idle=30",
    "application_name=shop&options=-cstatement_timeout%3D5s",
    "connection_limit=5&pool_timeout=10&gssencmode=disable",
    "target_session_attrs=read-write",
]


@pytest.mark.parametrize("tail", TAILS)
async def test_parameters_that_hosters_append_to_a_dsn_are_understood(
    servers: EmbeddedServices, empty_database: str, tail: str
) -> None:
    engine = create_engine(f"{empty_database}&{tail}", servers.temporal_address)

    assert await engine.migrate()
    await engine.stop()


async def test_an_application_name_is_passed_on(database: str) -> None:
    engine = create_engine(f"{database}&application_name=shop")
    async with engine.transaction() as connection:
        assert await connection.fetchval("SHOW application_name") == "shop"
    await engine.stop()


UNSET: str = None  # pyright: ignore[reportAssignmentType] - what os.environ.get gives


@pytest.mark.parametrize(
    ("dsn", "part"),
    [
        ("{}&ssl_mode=require", 'parameter "ssl_mode"'),
        ("{}&statement_timeout=soon", "statement_timeout"),
        ("{}&max_connections=5", "max_connections"),
        ("postgresql://app:Tr0ub4dor@nowhere.invalid/shop", "host.*nowhere.invalid"),
        (f"postgresql://app:Tr0ub4dor@{'x' * 70}.invalid/shop", "host"),
        (UNSET, "DATABASE_URL"),
        ("", "DATABASE_URL"),
    ],
)
async def test_a_wrong_connection_string_is_refused_with_a_reason(
    database: str, dsn: str, part: str
) -> None:
    engine = create_engine(dsn and dsn.format(database))
    for call in (engine.migrate, engine.start, engine.list_runs):
        with pytest.raises(ConfigurationError, match=part) as caught:
            await call()
        assert "Tr0ub4dor" not in repr(caught.value)
    report = await engine.check_health(compare=False)
    check = report.check("postgres")
    assert check is not None
    assert check.status == "failed"
    await engine.stop()


@pytest.fixture(params=["LATIN1", "WIN1252", "SQL_ASCII"])
async def not_utf8(
    servers: EmbeddedServices, request: pytest.FixtureRequest
) -> AsyncGenerator[tuple[Engine, str]]:
    """Yield an engine on a database in an encoding that cannot hold every text."""
    encoding = str(request.param)
    name = f"pulse_in_{encoding.lower()}"
    await run_sql(
        servers.dsn,
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' "
        "LC_CTYPE 'C' LOCALE_PROVIDER libc",
    )
    engine = make_pulse(dsn_of(servers.dsn, name), servers.temporal_address).engine
    yield engine, encoding
    await engine.stop()
    await run_sql(servers.dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_database_that_is_not_utf8_is_refused(not_utf8: tuple[Engine, str]) -> None:
    engine, encoding = not_utf8
    for call in (engine.migrate, engine.start):
        with pytest.raises(ConfigurationError, match=f"encoded in {encoding}.*UTF8"):
            await call()
    check = (await engine.check_health(compare=False)).check("postgres")
    assert check is not None
    assert check.status == "failed"
    assert encoding in check.summary
