"""Database roles with few rights: each missing one is named, and the documented grants will do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from pulse_temporal import (
    ConfigurationError,
    Engine,
    MissingRightError,
    NewApiKey,
    WorkflowContext,
    WorkflowDefinition,
    WorkflowRun,
    create_engine,
)
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.engine.bulk import BulkMethods
from pulse_temporal.engine.cataloguing import Cataloguing
from pulse_temporal.engine.flat import FlatMethods
from pulse_temporal.engine.guarding import Guarding, Recognising
from pulse_temporal.engine.lifecycle import Lifecycle, Upkeep
from pulse_temporal.engine.operators import Operators
from pulse_temporal.engine.searching import Searching
from pulse_temporal.engine.visiting import Visiting
from pulse_temporal.store.rights import needed_rights
from pulse_temporal.testing import action, condition, delay, parallel
from tests.harness import SOURCE, TENANT, PulseTest, make_pulse
from tests.integration.bulk_calls import BULK_READS, BULK_WRITES, failed_bulk
from tests.integration.visit_calls import VISIT_WRITES, begin_session

GRANTS = Path(__file__).parents[2] / "docs" / "operate" / "roles.sql"
SIGNAL = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid"}
DEFINITION: dict[str, object] = {
    "tenantId": TENANT,
    "name": "x",
    "triggerType": "order.paid",
    "steps": [],
}
SET: dict[str, object] = {**DEFINITION, "key": "of a set"}
_roles = count(1)


class Roles(NamedTuple):
    """An application's role and a reader's, of this test alone."""

    app: str
    reader: str


@pytest.fixture
async def roles(connection: asyncpg.Connection) -> AsyncGenerator[Roles]:
    """Make two roles without any right."""
    number = next(_roles)
    made = Roles(f"app_{number}", f"reader_{number}")
    for role in made:
        await connection.execute(f"CREATE ROLE {role} LOGIN")
    yield made
    for role in made:
        await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def grant(
    connection: asyncpg.Connection, roles: Roles, *, schema: str = "public", prefix: str = "pulse_"
) -> None:
    """Run the documented grants with other names."""
    text = GRANTS.read_text(encoding="utf-8")
    for documented, name in (
        ("'pulse_app'", roles.app),
        ("'pulse_reader'", roles.reader),
        ("'public'", schema),
        ("'pulse_'", prefix),
    ):
        assert text.count(documented) == 1
        text = text.replace(documented, f"'{name}'")
    await connection.execute(text)


@pytest.fixture
async def as_role(
    servers: EmbeddedServices, database: str
) -> AsyncGenerator[Callable[[str], PulseTest]]:
    """Yield a way to make engines that connect as a role."""
    made: list[PulseTest] = []

    def make(role: str) -> PulseTest:
        dsn = database.replace("pulse@", f"{role}@")
        made.append(make_pulse(dsn, servers.temporal_address))
        made[-1].signal("order.paid")
        return made[-1]

    yield make
    for pulse in made:
        await pulse.engine.stop()


Call = Callable[[Engine], Awaitable[object]]
CALLS: dict[str, Call] = {
    "start": lambda engine: engine.start(),
    "start without a worker": lambda engine: engine.start(worker=False),
    "emit": lambda engine: engine.emit(SIGNAL),
    "emit with a key": lambda engine: engine.emit({**SIGNAL, "idempotencyKey": "k"}),
    "emit_many": lambda engine: engine.emit_many([SIGNAL, SIGNAL]),
    "create_workflow": lambda engine: engine.create_workflow(DEFINITION),
    "cancel_run": lambda engine: engine.cancel_run("run_x"),
    "list_runs": lambda engine: engine.list_runs(),
    "get_run": lambda engine: engine.get_run("run_x"),
    "list_workflows": lambda engine: engine.list_workflows(),
    "get_run_timeline": lambda engine: engine.get_run_timeline("run_x"),
    "reconcile": lambda engine: engine.reconcile(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_a_role_without_rights_is_told_what_it_lacks(
    roles: Roles, as_role: Callable[[str], PulseTest], call: Call
) -> None:
    with pytest.raises(MissingRightError, match=r"SELECT.* on (table )?pulse_") as caught:
        await call(as_role(roles.app).engine)
    assert isinstance(caught.value, ConfigurationError)


async def test_a_health_check_tells_it_as_a_finding(
    roles: Roles, as_role: Callable[[str], PulseTest]
) -> None:
    report = await as_role(roles.app).engine.check_health(compare=False)

    check = report.check("rights")
    assert check is not None
    assert check.status == "failed"
    assert "SELECT" in check.summary
    assert report.check("temporal") is not None


@pytest.mark.parametrize(
    ("revoked", "told"),
    [
        ("USAGE ON SEQUENCE pulse_timeline_seq", "USAGE on sequence pulse_timeline_seq"),
        ("INSERT ON pulse_step_attempts", "INSERT on table pulse_step_attempts"),
        ("UPDATE, DELETE ON pulse_outbox", "DELETE and UPDATE on table pulse_outbox"),
    ],
)
async def test_a_forgotten_grant_is_found_at_the_start(
    connection: asyncpg.Connection,
    roles: Roles,
    as_role: Callable[[str], PulseTest],
    revoked: str,
    told: str,
) -> None:
    """Not behind it, where runs would hang."""
    await grant(connection, roles)
    await connection.execute(f"REVOKE {revoked} FROM {roles.app}")
    engine = as_role(roles.app).engine

    with pytest.raises(MissingRightError, match=told):
        await engine.start()

    check = (await engine.check_health(compare=False)).check("rights")
    assert check is not None
    assert check.status == "failed"
    assert told in check.summary


class Known(NamedTuple):
    """What there is for methods to work on."""

    failed: WorkflowRun
    waiting: str
    definition: WorkflowDefinition


async def emit_in_transaction(engine: Engine, _: Known) -> object:
    """Emit with other writes."""
    async with engine.transaction() as connection:
        return await engine.emit(SIGNAL, connection=connection)


async def worker_ids(engine: Engine, _: Known) -> object:
    """Name the workers; when they were seen changes all the time."""
    return [worker.id for worker in await engine.list_workers()]


async def tenant_ids(engine: Engine, _: Known) -> object:
    """Name the tenants; how their runs stand may change."""
    return [tenant.id for tenant in await engine.list_tenants()]


async def new_key(engine: Engine) -> NewApiKey:
    """Make a key."""
    return await engine.create_api_key("ci", scopes=["runs:read"])


async def authenticate(engine: Engine, _: Known) -> object:
    """Use a new key."""
    return await engine.authenticate_api_key((await new_key(engine)).token)


async def rotate(engine: Engine, _: Known) -> object:
    """Rotate a new key."""
    return await engine.rotate_api_key((await new_key(engine)).key.id)


async def revoke(engine: Engine, _: Known) -> object:
    """Revoke a new key."""
    return await engine.revoke_api_key((await new_key(engine)).key.id)


async def catalog(engine: Engine, _: Known) -> object:
    """Read the catalogue, which is that of the engine's own queue."""
    return [*await engine.catalog(tenant_id=TENANT), "read"][-1]


Method = Callable[[Engine, Known], Awaitable[object]]
READS: dict[str, Method] = {
    "catalog": catalog,
    **BULK_READS,
    "count_runs": lambda engine, known: engine.count_runs(definition_id=known.definition.id),
    "explain": lambda engine, known: engine.explain(known.failed.trigger_id),
    "get_failed_runs": lambda engine, _: engine.get_failed_runs(),
    "get_run": lambda engine, known: engine.get_run(known.failed.id),
    "get_run_logs": lambda engine, known: engine.get_run_logs(known.failed.id),
    "get_run_steps": lambda engine, known: engine.get_run_steps(known.failed.id),
    "get_run_timeline": lambda engine, known: engine.get_run_timeline(known.failed.id),
    "get_run_view": lambda engine, known: engine.get_run_view(known.failed.id),
    "get_runs_by_trigger": lambda engine, known: engine.get_runs_by_trigger(
        known.failed.trigger_id
    ),
    "get_step": lambda engine, known: engine.get_step(known.failed.id, "0"),
    "get_step_attempts": lambda engine, known: engine.get_step_attempts(known.failed.id),
    "get_trigger": lambda engine, known: engine.get_trigger(known.failed.trigger_id),
    "get_version": lambda engine, known: engine.get_version(known.definition.id, 1),
    "get_workflow": lambda engine, known: engine.get_workflow(known.definition.id),
    "list_api_keys": lambda engine, _: engine.list_api_keys(),
    "is_anybody_known": lambda engine, _: engine.is_anybody_known(),
    "list_audit": lambda engine, _: engine.list_audit(),
    "list_failures": lambda engine, _: engine.list_failures(),
    "list_run_summaries": lambda engine, _: engine.list_run_summaries(status="failed"),
    "list_runs": lambda engine, _: engine.list_runs(),
    "list_sessions": lambda engine, _: engine.list_sessions(),
    "list_signals": lambda engine, _: engine.list_signals(tenant_id=TENANT),
    "list_tenants": tenant_ids,
    "list_versions": lambda engine, known: engine.list_versions(known.definition.id),
    "list_workers": worker_ids,
    "list_workflows": lambda engine, _: engine.list_workflows(),
    "next_runs": lambda engine, known: engine.next_runs(known.definition.id, 1),
    "plan_definitions": lambda engine, _: engine.plan_definitions([SET], set_name="set"),
    "search": lambda engine, known: engine.search(known.failed.id),
    "signal_chain": lambda engine, known: engine.signal_chain(known.failed.trigger_id),
    "validate_workflow": lambda engine, _: engine.validate_workflow(DEFINITION),
    "wait_for_run": lambda engine, known: engine.wait_for_run(known.failed.id),
}
WRITES: dict[str, Method] = {
    **BULK_WRITES,
    **VISIT_WRITES,
    "migrate": lambda engine, _: engine.migrate(),
    "emit": lambda engine, _: engine.emit(SIGNAL),
    "emit_many": lambda engine, _: engine.emit_many([SIGNAL, SIGNAL]),
    "transaction": emit_in_transaction,
    "create_workflow": lambda engine, _: engine.create_workflow(DEFINITION),
    "put_workflow": lambda engine, _: engine.put_workflow({**DEFINITION, "key": "x"}),
    "apply_definitions": lambda engine, _: engine.apply_definitions([SET], set_name="set"),
    "update_workflow": lambda engine, known: engine.update_workflow(
        known.definition.id, {"name": "other"}
    ),
    "disable_workflow": lambda engine, known: engine.disable_workflow(known.definition.id),
    "enable_workflow": lambda engine, known: engine.enable_workflow(known.definition.id),
    "restore_version": lambda engine, known: engine.restore_version(known.definition.id, 1),
    "replay": lambda engine, known: engine.replay(known.failed.trigger_id),
    "retry_run": lambda engine, known: engine.retry_run(known.failed.id),
    "cancel_run": lambda engine, known: engine.cancel_run(known.waiting),
    "create_api_key": lambda engine, _: new_key(engine),
    "authenticate_api_key": authenticate,
    "rotate_api_key": rotate,
    "revoke_api_key": revoke,
    "reconcile": lambda engine, _: engine.reconcile(),
    "delete_workflow": lambda engine, known: engine.delete_workflow(known.definition.id),
}


def test_every_method_is_tried_with_the_documented_grants() -> None:
    """What the tests below call of themselves comes to it."""
    people = (Guarding, Operators, Recognising, Visiting)
    groups = (FlatMethods, BulkMethods, Cataloguing, Lifecycle, Searching, Upkeep, *people)
    methods = {name for group in groups for name in dir(group) if not name.startswith("_")}

    assert methods == {*READS, *WRITES, "start", "stop", "check_health"}


async def make_known(pulse: PulseTest) -> Known:
    """Make a run that has failed, one that waits, and a definition with a cron."""
    pulse.action("flaky", fails=1)
    await pulse.define("order.late", delay("wait", 60_000))
    definition = await pulse.define("order.bad", action("flaky"), cronExpression="0 0 1 1 *")
    failed = await pulse.emit_and_wait("order.bad")
    assert failed.status == "failed"
    (waiting,) = (await pulse.emit("order.late", idempotencyKey="late")).run_ids
    await new_key(pulse.engine)
    await begin_session(pulse.engine)
    await failed_bulk(pulse.engine)
    return Known(failed, waiting, definition)


async def test_an_applications_role_works_with_the_documented_grants(
    connection: asyncpg.Connection, roles: Roles, as_role: Callable[[str], PulseTest]
) -> None:
    await grant(connection, roles)
    pulse = as_role(roles.app)
    pulse.condition("is_due")
    pulse.action("work")

    @pulse.engine.action("book", transactional=True)
    async def book(ctx: WorkflowContext) -> None:
        ctx.log("booked")
        await ctx.emit({"source": SOURCE, "type": "order.booked"})

    pulse.signal("order.booked")
    await pulse.define("order.paid", condition("is_due"), parallel("both", ["work"], ["book"]))
    async with pulse.engine:
        assert (await pulse.emit_and_wait("order.paid")).status == "completed"
        known = await make_known(pulse)
        for call in (*READS.values(), *WRITES.values()):
            await call(pulse.engine, known)
        assert (await pulse.engine.wait_for_run(known.failed.id)).status == "completed"
        assert (await pulse.engine.wait_for_run(known.waiting)).status == "canceled"
        check = (await pulse.engine.check_health()).check("rights")
        assert check is not None
        assert check.status == "ok"


async def test_an_applications_role_emits_where_functions_are_nobodys_by_default(
    connection: asyncpg.Connection,
    roles: Roles,
    as_role: Callable[[str], PulseTest],
    idle_pulse: PulseTest,
) -> None:
    """Postgres lets everybody call a function; careful administrators take that back."""
    await idle_pulse.define("order.paid")
    await connection.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC")
    await grant(connection, roles)

    await as_role(roles.app).engine.emit(SIGNAL)
    application = await asyncpg.connect(idle_pulse.dsn.replace("pulse@", f"{roles.app}@"))
    await application.execute(
        "SELECT pulse_emit(tenant_id => $1, source => $2, type => 'order.paid')", TENANT, SOURCE
    )
    await application.close()

    assert await connection.fetchval("SELECT count(*) FROM pulse_workflow_runs") == 2


async def test_a_reader_can_use_every_method_that_reads(
    connection: asyncpg.Connection,
    roles: Roles,
    as_role: Callable[[str], PulseTest],
    pulse: PulseTest,
) -> None:
    await grant(connection, roles)
    pulse.signal("order.paid")
    known = await make_known(pulse)
    reader = as_role(roles.reader).engine

    for name, call in READS.items():
        told = await call(reader, known)
        assert told == await call(pulse.engine, known), name
        assert told or name == "get_run_logs", name
    report = await reader.check_health()
    assert {check.name: check.status for check in report.checks if check.status != "ok"} == {
        "rights": "warning",
        "workers": "warning",
    }
    for name in ("start", "emit"):
        with pytest.raises(MissingRightError, match="INSERT"):
            await CALLS[name](reader)


async def test_an_applications_role_migrates_where_nothing_is_to_be_done(
    connection: asyncpg.Connection, roles: Roles, as_role: Callable[[str], PulseTest]
) -> None:
    """Its queue is another one than the owner's, which the function keeps."""
    text = "SELECT pg_get_functiondef('pulse_emit'::regproc)"
    made = await connection.fetchval(text)
    await grant(connection, roles)
    engine = as_role(roles.app).engine

    assert await engine.migrate() == []

    assert await connection.fetchval(text) == made
    await connection.execute("COMMENT ON FUNCTION pulse_emit IS 'of an older release'")
    with pytest.raises(MissingRightError, match=r"pulse_emit|schema public"):
        await engine.migrate()


async def test_the_grants_follow_schema_and_prefix(
    servers: EmbeddedServices, empty_database: str
) -> None:
    owner = await asyncpg.connect(empty_database)
    number = next(_roles)
    roles = Roles(f"app_{number}", f"reader_{number}")
    await owner.execute('CREATE SCHEMA "My Schema"')
    for role in roles:
        await owner.execute(f"CREATE ROLE {role} LOGIN")
    dsn = f"{empty_database}&schema=My%20Schema"
    owning = create_engine(dsn, table_prefix="flow_")
    assert await owning.migrate()
    await owning.stop()
    await grant(owner, roles, schema="My Schema", prefix="flow_")

    as_app = dsn.replace("pulse@", f"{roles.app}@")
    address = servers.temporal_address
    engine = create_engine(as_app, address, table_prefix="flow_", queue_prefix=roles.app)
    pulse = PulseTest(engine, dsn=as_app, temporal_address=address)
    pulse.action("work")
    async with pulse.engine:
        await pulse.define("order.paid", "work")
        assert (await pulse.emit_and_wait("order.paid")).status == "completed"
    for role in roles:
        await owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    await owner.close()


async def test_grants_on_each_column_are_as_good(
    connection: asyncpg.Connection, roles: Roles, as_role: Callable[[str], PulseTest]
) -> None:
    await grant(connection, roles)
    columns: str = await connection.fetchval(
        """SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
        WHERE attrelid = 'pulse_workers'::regclass AND attnum > 0 AND NOT attisdropped"""
    )
    await connection.execute(f"REVOKE INSERT ON pulse_workers FROM {roles.app}")
    await connection.execute(f"GRANT INSERT ({columns}) ON pulse_workers TO {roles.app}")

    async with as_role(roles.app).engine:
        pass


async def test_row_level_security_is_a_finding(
    connection: asyncpg.Connection, roles: Roles, as_role: Callable[[str], PulseTest]
) -> None:
    await grant(connection, roles)
    await connection.execute("ALTER TABLE pulse_triggers ENABLE ROW LEVEL SECURITY")

    pulse = as_role(roles.app)
    check = (await pulse.engine.check_health(compare=False)).check("rights")

    assert check is not None
    assert check.status == "warning"
    assert "pulse_triggers" in check.summary
    with pytest.raises(MissingRightError, match="row-level security"):
        await pulse.emit("order.paid")


async def test_a_role_that_may_not_create_is_told_so(
    servers: EmbeddedServices, empty_database: str
) -> None:
    owner = await asyncpg.connect(empty_database)
    role = f"app_{next(_roles)}"
    await owner.execute(f"CREATE ROLE {role} LOGIN")
    engine = make_pulse(
        empty_database.replace("pulse@", f"{role}@"), servers.temporal_address
    ).engine

    with pytest.raises(MissingRightError, match="schema public"):
        await engine.migrate()

    await engine.stop()
    await owner.execute(f"DROP ROLE {role}")
    await owner.close()


async def test_every_table_has_its_rights(connection: asyncpg.Connection) -> None:
    """A statement that spells a table in another way would escape the check."""
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")

    assert {row["tablename"] for row in tables} <= needed_rights().keys()
