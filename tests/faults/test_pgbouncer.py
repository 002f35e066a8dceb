"""Everything Pulse does goes through PgBouncer in transaction mode, given one option."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import suppress
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from temporalio.client import Client

from pulse_temporal import ConfigurationError, PostgresUnavailableError, WorkflowContext
from pulse_temporal.contract import schedule_id
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.embedded.ports import LOCALHOST, free_ports
from pulse_temporal.store.migrate import migrations
from pulse_temporal.testing import action, condition, delay, parallel
from tests.faults.own_postgres import OwnPostgres, own_postgres, short_folder
from tests.harness import SOURCE, TENANT, PulseTest, checked_invariants, eventually, make_pulse

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
SERVER_CONNECTIONS = 3
"""Fewer than an engine uses, so that transactions of one client meet different servers."""

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(PROGRAM is None, reason="PgBouncer (Debian: pgbouncer) is not installed"),
]
_databases = count(1)


class PgBouncer:
    """A PgBouncer in transaction mode before a Postgres."""

    def __init__(self, postgres: OwnPostgres, folder: Path) -> None:
        self.postgres = postgres
        self.file = folder / "pgbouncer.ini"
        self.log = folder / "pgbouncer.log"
        self.port = free_ports([0])[0]
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it lets clients in."""
        assert PROGRAM is not None
        server = urlsplit(self.postgres.dsn)
        self.file.write_text(
            f"""[databases]
* = host={LOCALHOST} port={self.postgres.port} user=pulse password={server.password}
[pgbouncer]
listen_addr = {LOCALHOST}
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {SERVER_CONNECTIONS}
max_client_conn = 200
""",
            encoding="ascii",
        )
        arguments = [PROGRAM, str(self.file)]
        if os.geteuid() == 0:  # which it refuses to be
            arguments[1:1] = ["-u", "nobody"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log)  # noqa: ASYNC220, S603 - found on PATH, and it starts at once
        await eventually(self._answers)

    async def _answers(self) -> bool:
        with suppress(OSError, asyncpg.PostgresError):
            connection = await asyncpg.connect(self.dsn("postgres"), statement_cache_size=0)
            await connection.close()
            return True
        return False

    def stop(self) -> None:
        """End it at once; its clients' connections break."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def dsn(self, database: str) -> str:
        """Name a database behind it."""
        return f"postgresql://pulse@{LOCALHOST}:{self.port}/{database}?sslmode=disable"


@pytest.fixture(scope="module")
async def bouncer() -> AsyncGenerator[PgBouncer]:
    """Run a Postgres and a PgBouncer before it."""
    with short_folder() as folder:
        async with own_postgres() as postgres:
            made = PgBouncer(postgres, folder)
            await made.start()
            yield made
            made.stop()


@pytest.fixture
async def database(bouncer: PgBouncer) -> AsyncGenerator[str]:
    """Yield the name of an empty database; afterwards its invariants must hold."""
    name = f"bounced_{next(_databases)}"
    await bouncer.postgres.execute(f"CREATE DATABASE {name}")
    yield name
    async with checked_invariants(bouncer.postgres.dsn.replace("/pulse?", f"/{name}?")):
        pass


@pytest.fixture
async def bounced(
    servers: EmbeddedServices, bouncer: PgBouncer, database: str
) -> AsyncGenerator[PulseTest]:
    """Yield an engine that works through PgBouncer."""
    made = make_pulse(bouncer.dsn(database), servers.temporal_address, statement_cache=False)
    await made.engine.migrate()
    async with made.engine:
        yield made


async def test_many_processes_migrate_at_once(
    servers: EmbeddedServices, bouncer: PgBouncer, database: str
) -> None:
    """The lock is one of a transaction: PgBouncer would leave any other behind."""
    engines = [
        make_pulse(bouncer.dsn(database), servers.temporal_address, statement_cache=False).engine
        for _ in range(6)
    ]
    applied = await asyncio.gather(*(engine.migrate() for engine in engines))
    await asyncio.gather(*(engine.stop() for engine in engines))

    done = sorted(name for names in applied for name in names)
    assert done == [migration.name for migration in migrations()]


async def test_every_kind_of_step(bounced: PulseTest) -> None:
    """Runs of all kinds of steps side by side; each transactional effect is there once."""
    bounced.condition("is_due")
    bounced.action("flaky", fails=3)
    bounced.action("after")
    bounced.signal("order.chained")

    async def note(ctx: WorkflowContext) -> None:
        await ctx.connection.execute("INSERT INTO effects VALUES ($1)", ctx.run.id)
        await ctx.emit({"source": SOURCE, "type": "order.chained", "payload": {}})

    bounced.engine.register_action("note", note, transactional=True)
    async with bounced.engine.transaction() as connection:
        await connection.execute("CREATE TABLE effects (run_id text)")
    await bounced.define("order.chained", "after")
    await bounced.define(
        "order.paid",
        condition("is_due"),
        action("flaky", retryPolicy={"maxAttempts": 5, "backoffMs": 100}),
        delay("pause", 50),
        parallel("both", ["note"], [delay("moment", 20), "after"]),
        action("short", uses="after", timeoutMs=1_000),
    )
    triggers = await asyncio.gather(*(bounced.emit("order.paid") for _ in range(12)))
    run_ids = [trigger.run_ids[0] for trigger in triggers]
    runs = [await bounced.engine.wait_for_run(run_id, 60) for run_id in run_ids]

    assert {run.status for run in runs} == {"completed"}, [run.error_message for run in runs]
    async with bounced.engine.transaction() as connection:
        effects = [row["run_id"] for row in await connection.fetch("SELECT run_id FROM effects")]
    assert sorted(effects) == sorted(run_ids)
    assert len((await bounced.engine.list_runs(limit=100)).items) == 24


async def test_signals_join_transactions(bounced: PulseTest, bouncer: PgBouncer) -> None:
    """In a transaction of the engine's or of the application's own connection, or not at all."""
    bounced.action("work")
    await bounced.define("order.paid", "work")
    signal: dict[str, object] = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid"}
    async with bounced.engine.transaction() as connection:
        ours = await bounced.engine.emit(signal, connection=connection)
    name = bounced.dsn.rpartition("/")[2].partition("?")[0]
    opened = await asyncpg.connect(bouncer.dsn(name), statement_cache_size=0)
    try:
        async with opened.transaction():
            joined = await bounced.engine.emit(signal, connection=opened)
        undone = opened.transaction()
        await undone.start()
        never = await bounced.engine.emit(signal, connection=opened)
        await undone.rollback()
    finally:
        await opened.close()

    for trigger in (ours, joined):
        run = await bounced.engine.wait_for_run(trigger.run_ids[0])
        assert run.status == "completed"
    assert await bounced.engine.get_trigger(never.id) is None


async def test_cancel_retry_and_replay(bounced: PulseTest) -> None:
    gate = bounced.gate("gate")
    bounced.action("flaky", fails=1)
    await bounced.define("order.held", "gate")
    await bounced.define("order.paid", "flaky")
    held = await bounced.emit("order.held")
    await gate.reached()
    canceled = await bounced.engine.cancel_run(held.run_ids[0], "stop")
    gate.open()
    failed = await bounced.emit_and_wait("order.paid")
    await bounced.engine.retry_run(failed.id)
    retried = await bounced.engine.wait_for_run(failed.id)
    replayed = await bounced.engine.replay(failed.trigger_id)
    runs = [await bounced.engine.wait_for_run(run.id) for run in replayed]

    assert (canceled.status, failed.status, retried.status) == ("canceled", "failed", "completed")
    assert [(run.status, run.is_replay) for run in runs] == [("completed", True)]


async def test_cron_schedules_are_kept(bounced: PulseTest) -> None:
    """Processes take turns at a schedule by a lock, which is one of a transaction too."""
    bounced.action("tick")
    made = [
        await bounced.define("nightly", "tick", cronExpression=f"{minute} 3 * * *")
        for minute in range(3)
    ]
    await bounced.engine.disable_workflow(made[0].id)
    await bounced.engine.delete_workflow(made[1].id)
    client = await Client.connect(bounced.temporal_address)
    queue = bounced.engine.options.queue_prefix

    async def state() -> list[bool | None]:
        """Say of each definition whether its schedule is paused; None: it has none."""
        wanted = {schedule_id(queue, definition.id): None for definition in made}
        found: dict[str, bool | None] = {**wanted}
        async for schedule in await client.list_schedules():
            if schedule.id in wanted and schedule.schedule is not None:
                found[schedule.id] = schedule.schedule.state.paused
        return [*found.values()]

    async def is_right() -> bool:
        return await state() == [True, None, False]

    await eventually(is_right)


async def test_the_application_s_own_pool(
    servers: EmbeddedServices, bouncer: PgBouncer, database: str
) -> None:
    """What the application must set is ``statement_cache_size=0``; the option is not used."""
    async with asyncpg.create_pool(
        bouncer.dsn(database), min_size=0, max_size=8, statement_cache_size=0
    ) as pool:
        direct = make_pulse(bouncer.dsn(database), servers.temporal_address, pool=pool)
        work = direct.action("work")
        await direct.engine.migrate()
        async with direct.engine:
            await direct.define("order.paid", "work", delay("pause", 20))
            triggers = await asyncio.gather(*(direct.emit("order.paid") for _ in range(20)))
            runs = [
                await direct.engine.wait_for_run(trigger.run_ids[0], 60) for trigger in triggers
            ]

    assert {run.status for run in runs} == {"completed"}
    assert work.call_count == 20


async def test_a_cache_that_does_not_fit_is_a_matter_of_configuration(
    servers: EmbeddedServices, bouncer: PgBouncer, database: str
) -> None:
    """The error names the option that helps."""
    cached = make_pulse(bouncer.dsn(database), servers.temporal_address)
    cached.engine.register_trigger("order.paid", source=SOURCE)

    async def clash() -> ConfigurationError | None:
        answers = await asyncio.gather(
            *(cached.engine.migrate() for _ in range(4)),
            *(cached.engine.list_workflows(tenant_id=TENANT) for _ in range(10)),
            return_exceptions=True,
        )
        return next((error for error in answers if isinstance(error, ConfigurationError)), None)

    error = await eventually(clash)
    await cached.engine.stop()
    repaired = make_pulse(bouncer.dsn(database), servers.temporal_address, statement_cache=False)
    await repaired.engine.migrate()  # for the check of the invariants
    await repaired.engine.stop()

    assert "statement_cache=False" in str(error)


async def test_a_restart_of_the_pooler(bounced: PulseTest, bouncer: PgBouncer) -> None:
    """Calls fail with the error of an absent Postgres, and go on when it is back."""
    gate = bounced.gate("gate")
    await bounced.define("order.paid", "gate", action("gate_again", uses="gate"))
    trigger = await bounced.emit("order.paid")
    await gate.reached()
    bouncer.stop()
    with pytest.raises(PostgresUnavailableError):
        await bounced.emit("order.paid")
    gate.open()
    await bouncer.start()
    again = await bounced.emit("order.paid")
    for run_id in (*trigger.run_ids, *again.run_ids):
        run = await bounced.engine.wait_for_run(run_id, 60)
        assert run.status == "completed"
