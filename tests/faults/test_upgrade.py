"""Two releases at once: what an old one must bear from a new one, and what it refuses.

There is no older release to run yet. What is tested is what would differ: payloads with fields
that this release does not know, tables with columns and tables that it does not know, and
workers with different handlers. That recorded histories of every kind of run still replay is
tested in ``tests/replay``.
"""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from pydantic import BaseModel, JsonValue
from temporalio.client import Client

from pulse_temporal import contract
from pulse_temporal.config import EngineOptions
from pulse_temporal.contract import InterpreterInput, Scope
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.model.values import JsonObject
from pulse_temporal.skeleton import skeleton, terms
from pulse_temporal.temporal.client import connect
from pulse_temporal.testing import action, delay, parallel
from tests.harness import PulseTest, make_pulse

pytestmark = pytest.mark.faults

NEWER: dict[str, JsonValue] = {"from_a_newer_release": {"deep": [1, None]}}


def models() -> list[type[BaseModel]]:
    """Return every payload model that workflows and the world exchange."""
    found = [value for value in vars(contract).values() if isinstance(value, type)]
    ours = [kind for kind in found if kind.__module__ == contract.__name__]
    return [kind for kind in ours if issubclass(kind, BaseModel)]


@pytest.mark.parametrize("kind", models(), ids=lambda kind: kind.__name__)
def test_a_payload_may_have_fields_of_a_newer_release(kind: type[BaseModel]) -> None:
    assert kind.model_config.get("extra", "ignore") == "ignore"


def with_news(value: JsonValue) -> JsonValue:
    """Add a field to every object in a JSON value."""
    if isinstance(value, dict):
        return {name: with_news(item) for name, item in value.items()} | NEWER
    return [with_news(item) for item in value] if isinstance(value, list) else value


async def test_a_run_that_a_newer_release_started(idle_pulse: PulseTest) -> None:
    """Its interpreter's input has fields that this release does not know, at every level."""
    pulse = idle_pulse
    calls = [pulse.action(name) for name in ("one", "two", "three")]
    definition = await pulse.define(
        "order.paid", "one", delay("pause", 20), parallel("both", ["two"], ["three"])
    )
    (run_id,) = (await pulse.emit("order.paid")).run_ids
    job = InterpreterInput(
        scope=Scope(run_id=run_id, tenant_id=definition.tenant_id, generation=1),
        title=definition.name,
        steps=skeleton(definition.steps),
        has_delays=True,
        task_timeout_ms=5_000,
        terms=terms(EngineOptions()),
    )
    sent: JsonObject = job.model_dump(mode="json")
    client: Client = await connect(pulse.temporal_address, namespace="default")
    await client.start_workflow(
        contract.RUN_WORKFLOW,
        with_news(sent),
        id=contract.workflow_id(run_id, 1),
        task_queue=pulse.engine.options.task_queue,
    )
    async with pulse.engine:
        run = await pulse.engine.wait_for_run(run_id, 30)

    assert run.status == "completed", run.error_message
    assert [probe.call_count for probe in calls] == [1, 1, 1]


async def test_an_old_worker_on_newer_tables(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """It works, since migrations add before they remove; what it refuses is to migrate."""
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'pulse\\_%'"
    )
    for row in rows:
        await connection.execute(
            f"ALTER TABLE {row['relname']} ADD COLUMN newer text, ADD COLUMN mark int DEFAULT 1"
        )
    await connection.execute("CREATE TABLE pulse_newer (id text PRIMARY KEY)")
    await connection.execute(
        "INSERT INTO pulse_migrations (version, name, checksum) VALUES (9999, '9999_pre_x', 'x')"
    )
    pulse = idle_pulse
    pulse.action("flaky", fails=1)
    pulse.action("work")
    await pulse.define(
        "order.paid",
        action("flaky", retryPolicy={"maxAttempts": 2, "backoffMs": 100}),
        delay("pause", 20),
        parallel("both", ["work"], [action("other", uses="work", timeoutMs=1_000)]),
    )
    async with pulse.engine:
        run = await pulse.emit_and_wait("order.paid")
        replayed = await pulse.engine.replay(run.trigger_id)
        again = await pulse.engine.wait_for_run(replayed[0].id)
        assert await pulse.engine.migrate() == []

    assert (run.status, again.status) == ("completed", "completed")


async def test_workers_with_different_handlers(servers: EmbeddedServices, database: str) -> None:
    """The new release has an action that the old one has not: its steps find the new one."""
    new = make_pulse(database, servers.temporal_address)
    old = make_pulse(database, servers.temporal_address, like=new)
    known = [new.action("known"), old.action("known")]
    added = new.action("added")
    async with old.engine, new.engine:
        await new.define("order.paid", "known", "added", action("last", uses="known"))
        triggers = await asyncio.gather(*(new.emit("order.paid") for _ in range(5)))
        runs = [await old.engine.wait_for_run(trigger.run_ids[0], 60) for trigger in triggers]

    assert {run.status for run in runs} == {"completed"}, [run.error_message for run in runs]
    assert added.call_count == 5
    assert sum(probe.call_count for probe in known) == 10
