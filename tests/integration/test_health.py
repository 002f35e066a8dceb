"""``check_health`` says what is wrong: with the servers, and with what waits between them."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import timedelta

import asyncpg
import pytest
from temporalio.api.operatorservice.v1 import RemoveSearchAttributesRequest
from temporalio.client import Client

from pulse_temporal import HealthCheck, HealthReport, ReconcileReport, contract, create_engine
from pulse_temporal.clock import utc_now
from pulse_temporal.embedded import EmbeddedServices, embedded_temporal
from pulse_temporal.embedded.ports import free_ports
from pulse_temporal.model.health import CHECK_NAMES, CheckName
from tests.harness import PulseTest, eventually, make_pulse
from tests.temporal_operator import Operator


def made(report: HealthReport, name: CheckName) -> HealthCheck:
    """Return a check that must have been made."""
    check = report.check(name)
    assert check is not None, f"{name} is not in {report}"
    return check


async def checked(pulse: PulseTest, name: CheckName) -> HealthCheck:
    """Make the checks and give one."""
    return made(await pulse.engine.check_health(), name)


async def waiting_run(pulse: PulseTest) -> str:
    """Emit a signal and give the id of the run that comes of it."""
    await pulse.define("health.asked", "act")
    (run_id,) = (await pulse.emit("health.asked")).run_ids
    return run_id


async def test_all_is_well(pulse: PulseTest) -> None:
    pulse.action("act")
    await pulse.define("health.asked", "act")
    await pulse.emit_and_wait("health.asked")

    report = await pulse.engine.check_health()

    assert [check.name for check in report.checks] == list(CHECK_NAMES)
    assert report.status == "ok", report
    assert report.not_checked == ()
    assert not [check for check in report.checks if check.advice is not None]
    assert made(report, "workers").summary.startswith("1 worker on task queue")


async def test_the_report_says_its_status_in_json(idle_pulse: PulseTest) -> None:
    report = await idle_pulse.engine.check_health(compare=False)
    assert '"status":"warning"' in report.model_dump_json().replace(" ", "")
    assert report.not_checked == ("mirror",)


async def test_blocking_code_may_ask_too(pulse: PulseTest) -> None:
    report = await asyncio.to_thread(pulse.engine.blocking.check_health)
    assert report.status == "ok"


# Servers


async def test_postgres_that_is_away_is_a_finding(servers: EmbeddedServices) -> None:
    dsn = f"postgresql://nobody@127.0.0.1:{free_ports([0])[0]}/nothing"
    engine = create_engine(dsn, servers.temporal_address)

    report = await engine.check_health()
    await engine.stop()

    assert made(report, "postgres").status == "failed"
    assert "does not answer" in made(report, "postgres").summary
    assert {check.name for check in report.checks} == {
        "postgres",
        "temporal",
        "search_attributes",
    }
    assert report.not_checked == tuple(name for name in CHECK_NAMES if report.check(name) is None)


async def test_temporal_that_is_away_is_a_finding(database: str) -> None:
    pulse = make_pulse(database, f"127.0.0.1:{free_ports([0])[0]}")

    report = await pulse.engine.check_health()
    await pulse.engine.stop()

    assert report.status == "failed"
    assert made(report, "temporal").summary.endswith("does not answer: Connection refused.")
    assert made(report, "outbox").status == "ok"
    assert report.not_checked == ("search_attributes", "sharing", "mirror")


async def test_a_namespace_that_is_not_there_is_named(
    servers: EmbeddedServices, database: str
) -> None:
    engine = create_engine(database, servers.temporal_address, namespace="nowhere")

    report = await engine.check_health()
    await engine.stop()

    assert made(report, "temporal").status == "failed"
    assert "nowhere" in made(report, "temporal").summary


async def test_search_attributes_that_are_missing_are_named(database: str) -> None:
    port = free_ports([0])[0]
    with tempfile.TemporaryDirectory(prefix="pulse-", ignore_cleanup_errors=True) as folder:
        async with embedded_temporal(folder, port=port, ui=False) as server:
            client = await Client.connect(server.address)
            await client.operator_service.remove_search_attributes(
                RemoveSearchAttributesRequest(
                    namespace="default", search_attributes=[contract.TENANT_ATTRIBUTE]
                )
            )
            pulse = make_pulse(database, server.address)

            async def missed() -> HealthCheck | None:
                check = await checked(pulse, "search_attributes")
                return check if check.status == "warning" else None

            check = await eventually(missed)
            await pulse.engine.stop()
    assert contract.TENANT_ATTRIBUTE in check.summary
    assert contract.TRIGGER_ATTRIBUTE not in check.summary


async def test_a_standby_takes_no_writes(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    check = await checked(idle_pulse, "postgres")
    await connection.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    assert check.status == "failed"
    assert "takes no writes" in check.summary


# Tables


async def test_a_database_without_tables_asks_for_migrate(
    servers: EmbeddedServices, empty_database: str
) -> None:
    pulse = make_pulse(empty_database, servers.temporal_address)

    report = await pulse.engine.check_health()
    await pulse.engine.stop()

    assert made(report, "tables").status == "failed"
    assert "engine.migrate()" in (made(report, "tables").advice or "")
    assert report.check("workers") is None


async def test_tables_of_an_older_release_ask_for_migrate(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    name = await connection.fetchval(
        "DELETE FROM pulse_migrations WHERE version = 1 RETURNING name"
    )
    check = await checked(idle_pulse, "tables")
    assert check.status == "failed"
    assert name in check.summary


async def test_tables_of_a_newer_release_ask_for_its_code(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "INSERT INTO pulse_migrations (version, name, checksum) VALUES (9999, '9999_post_x', 'x')"
    )
    check = await checked(idle_pulse, "tables")
    assert check.status == "failed"
    assert "newer release" in check.summary


# What waits


async def test_without_a_worker_there_is_a_warning(idle_pulse: PulseTest) -> None:
    check = await checked(idle_pulse, "workers")
    assert check.status == "warning"
    assert "none is on record" in check.summary


async def fall_silent(pulse: PulseTest, connection: asyncpg.Connection) -> None:
    """Leave the row of a worker that was killed, or has lost Postgres, two minutes ago."""
    await connection.execute(
        """INSERT INTO pulse_workers (id, task_queue, actions, conditions, seen_at)
        VALUES ('wrk_x', $1, '{}', '{}', now() - interval '2 minutes')""",
        pulse.engine.options.task_queue,
    )


async def test_a_worker_that_has_fallen_silent_is_no_worker(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await fall_silent(idle_pulse, connection)
    check = await checked(idle_pulse, "workers")
    assert check.status == "warning"
    assert "2 min" in check.summary
    assert "'takes no work'" in (check.advice or "")


async def test_a_worker_that_has_fallen_silent_beside_others_is_told(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await fall_silent(pulse, connection)
    check = await checked(pulse, "workers")
    assert check.status == "warning"
    assert check.summary.startswith("1 worker on task queue")
    assert "1 more worker silent, the last sign of one 2 min" in check.summary
    assert "'takes no work'" in (check.advice or "")


async def test_workers_of_another_queue_are_named(pulse: PulseTest) -> None:
    """An application and its workers with different prefixes never meet."""
    lonely = make_pulse(pulse.dsn, pulse.temporal_address)
    check = await checked(lonely, "workers")
    await lonely.engine.stop()
    assert check.status == "warning"
    assert repr(pulse.engine.options.task_queue) in (check.advice or "")


async def test_commands_that_have_waited_for_long_are_a_warning(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await waiting_run(idle_pulse)
    assert (await checked(idle_pulse, "outbox")).status == "ok"
    await connection.execute(
        """UPDATE pulse_outbox SET created_at = now() - interval '5 minutes', tries = 7,
            last_error = 'no such search attribute'"""
    )
    check = await checked(idle_pulse, "outbox")
    assert check.status == "warning"
    assert check.summary == (
        "1 command to Temporal waiting, the oldest for 5 min, tried up to 7 times."
        " The last error: no such search attribute"
    )


async def test_commands_for_a_newer_release_are_told(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await waiting_run(idle_pulse)
    await connection.execute(
        "UPDATE pulse_outbox SET created_at = now() - interval '5 minutes', dialect = 99"
    )
    check = await checked(idle_pulse, "outbox")
    assert check.status == "warning"
    assert check.summary.endswith("1 of them for a newer release than this one.")
    assert check.advice is not None
    assert "a worker of the newer release" in check.advice


async def test_commands_of_another_queue_are_not_ours(idle_pulse: PulseTest) -> None:
    await waiting_run(idle_pulse)
    other = make_pulse(idle_pulse.dsn, idle_pulse.temporal_address)
    check = await checked(other, "outbox")
    await other.engine.stop()
    assert check.summary == "No command waits."


async def test_a_run_that_does_not_begin_is_named(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    run_id = await waiting_run(idle_pulse)
    assert (await checked(idle_pulse, "pending_runs")).status == "ok"
    await connection.execute(
        "UPDATE pulse_workflow_runs SET created_at = now() - interval '1 hour'"
    )
    check = await checked(idle_pulse, "pending_runs")
    assert check.status == "warning"
    assert check.summary == f"1 run pending, the oldest for 1 h: {run_id}."


async def test_blocked_steps_are_told_until_their_run_is_over(pulse: PulseTest) -> None:
    run_id = await waiting_run(pulse)  # nobody has the handler

    async def blocked() -> HealthCheck | None:
        check = await checked(pulse, "blocked_steps")
        return check if check.status == "warning" else None

    check = await eventually(blocked)
    assert "No live worker knows the action 'act'." in check.summary
    assert run_id in check.summary
    client = await Client.connect(pulse.temporal_address)
    await Operator(client).terminate(run_id)

    async def over() -> bool:
        await pulse.engine.reconcile()
        run = await pulse.engine.get_run(run_id)
        return run is not None and run.status == "failed"

    await eventually(over)
    assert (await pulse.steps(run_id))["0"].blocked_reason is None
    assert (await checked(pulse, "blocked_steps")).status == "ok"


# The reconciler


async def keep_report(
    connection: asyncpg.Connection, pulse: PulseTest, report: ReconcileReport
) -> None:
    """Put a report in the place of the last one."""
    await connection.execute(
        """INSERT INTO pulse_reconcilers (task_queue, report) VALUES ($1, $2)
        ON CONFLICT (task_queue) DO UPDATE SET report = $2""",
        pulse.engine.options.task_queue,
        report.model_dump_json(),
    )


async def test_a_reconciler_that_has_halted_is_a_failure(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    halted = ReconcileReport(at=utc_now(), checked=40, applied=False, halted="12 are gone.")
    await keep_report(connection, idle_pulse, halted)
    check = await checked(idle_pulse, "reconciler")
    assert check.status == "failed"
    assert "12 are gone." in check.summary
    assert "docs/operate/reconcile.md" in (check.advice or "")


@pytest.mark.parametrize("has_ever", [True, False])
async def test_a_comparison_that_does_not_come_while_workers_live_is_a_warning(
    pulse: PulseTest, connection: asyncpg.Connection, *, has_ever: bool
) -> None:
    if has_ever:
        long_ago = utc_now() - timedelta(hours=2)
        await keep_report(connection, pulse, ReconcileReport(at=long_ago, checked=3))
    assert (await checked(pulse, "reconciler")).status == "ok"  # the worker has just come
    await connection.execute("UPDATE pulse_workers SET started_at = now() - interval '1 hour'")
    check = await checked(pulse, "reconciler")
    assert check.status == "warning"
    assert ("2 h ago" if has_ever else "not been compared") in check.summary


async def test_a_mirror_that_differs_is_a_warning_and_stays_as_it_is(
    pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    gate = pulse.gate("act")
    run_id = await waiting_run(pulse)
    await gate.reached()
    await Operator(await Client.connect(pulse.temporal_address)).terminate(run_id)
    await connection.execute(
        "UPDATE pulse_workflow_runs SET updated_at = now() - interval '1 hour'"
    )

    async def differs() -> HealthCheck | None:
        check = await checked(pulse, "mirror")
        return check if check.status == "warning" else None

    check = await eventually(differs)
    assert f"{run_id} terminated" in check.summary
    run = await pulse.engine.get_run(run_id)
    assert run is not None
    assert run.status == "running"
    await pulse.engine.reconcile()
    gate.open()
    assert (await checked(pulse, "mirror")).status == "ok"
