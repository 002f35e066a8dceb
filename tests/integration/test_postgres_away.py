"""While Postgres is away every call says so, once, clearly and within five seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import asyncpg
import pytest

from pulse_temporal import ConfigurationError, Engine, PostgresUnavailableError, create_engine
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.embedded.ports import LOCALHOST, free_ports
from tests.conftest import dsn_of
from tests.harness import SOURCE, TENANT, PulseTest, make_pulse

SIGNAL = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid"}
DEFINITION: dict[str, object] = {
    "tenantId": TENANT,
    "name": "x",
    "triggerType": "order.paid",
    "steps": [],
}
SECONDS = 5.0

CUT_ONCE = """
CREATE SEQUENCE cuts;
CREATE FUNCTION cut_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('cuts') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER cut_once AFTER INSERT ON pulse_workers EXECUTE FUNCTION cut_once();
"""

Call = Callable[[Engine], Awaitable[object]]
CALLS: dict[str, Call] = {
    "start": lambda engine: engine.start(),
    "migrate": lambda engine: engine.migrate(),
    "emit": lambda engine: engine.emit(SIGNAL),
    "create_workflow": lambda engine: engine.create_workflow(DEFINITION),
    "get_run": lambda engine: engine.get_run("run_x"),
    "list_runs": lambda engine: engine.list_runs(),
    "cancel_run": lambda engine: engine.cancel_run("run_x"),
}


@pytest.fixture
async def silent_server() -> AsyncGenerator[str]:
    """Yield the DSN of something that accepts connections and never says a word."""
    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: connections.append(writer), LOCALHOST, 0)
    port = server.sockets[0].getsockname()[1]
    yield f"postgresql://pulse@{LOCALHOST}:{port}/pulse"
    server.close()
    for connection in connections:
        connection.close()


@pytest.fixture
async def nothing_there(servers: EmbeddedServices) -> AsyncGenerator[PulseTest]:
    """Yield an engine whose Postgres does not listen."""
    dsn = f"postgresql://pulse@{LOCALHOST}:{free_ports([0])[0]}/pulse"
    made = make_pulse(dsn, servers.temporal_address)
    made.signal("order.paid")
    yield made
    await made.engine.stop()


@pytest.fixture
async def never_answers(
    servers: EmbeddedServices, silent_server: str
) -> AsyncGenerator[PulseTest]:
    """Yield an engine whose Postgres listens and does not answer."""
    made = make_pulse(silent_server, servers.temporal_address)
    made.signal("order.paid")
    yield made
    await made.engine.stop()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_a_server_that_does_not_listen_is_one_clear_error(
    nothing_there: PulseTest, call: Call
) -> None:
    async with asyncio.timeout(SECONDS):
        with pytest.raises(PostgresUnavailableError, match="Postgres does not answer"):
            await call(nothing_there.engine)


async def test_a_server_that_does_not_answer_is_one_clear_error(
    never_answers: PulseTest,
) -> None:
    async with asyncio.timeout(SECONDS):
        errors = await asyncio.gather(
            *(CALLS[name](never_answers.engine) for name in ("start", "emit", "get_run")),
            return_exceptions=True,
        )

    assert {type(error) for error in errors} == {PostgresUnavailableError}
    assert all("Postgres does not answer" in str(error) for error in errors)


async def test_an_engine_that_could_not_start_may_be_started_later(
    nothing_there: PulseTest,
) -> None:
    """It is not started now, so the second call gives the same error and no other."""
    for _ in range(2):
        with pytest.raises(PostgresUnavailableError):
            await nothing_there.engine.start()


async def test_a_start_outlives_a_connection_that_is_cut(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await connection.execute(CUT_ONCE)

    await idle_pulse.engine.start()

    assert await connection.fetchval("SELECT last_value FROM cuts") == 2


@pytest.mark.parametrize("name", ["start", "emit", "get_run"])
async def test_a_database_that_does_not_exist_is_a_matter_of_configuration(
    servers: EmbeddedServices, name: str
) -> None:
    pulse = make_pulse(dsn_of(servers.dsn, "nobody"), servers.temporal_address)
    pulse.signal("order.paid")

    with pytest.raises(ConfigurationError, match='database "nobody" does not exist'):
        await CALLS[name](pulse.engine)
    await pulse.engine.stop()


@pytest.mark.parametrize("dsn", ["no dsn", "http://localhost/x", "postgresql://localhost:port/x"])
async def test_a_malformed_dsn_is_a_matter_of_configuration(dsn: str) -> None:
    engine = create_engine(dsn)

    with pytest.raises(ConfigurationError, match="DSN"):
        await engine.get_run("run_x")
    await engine.stop()
