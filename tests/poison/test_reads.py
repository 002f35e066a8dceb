"""Whatever is asked for: an answer, or an error of Pulse; and the rows of others can be read."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone

import asyncpg
import pytest

from pulse_temporal import (
    ConfigurationError,
    Engine,
    InvalidInputError,
    NotFoundError,
    RunFilter,
    create_engine,
)
from pulse_temporal.testing import delay
from tests.harness import SOURCE, PulseTest

IDS: Mapping[str, object] = {
    "NUL": "run_a\0b",
    "lone surrogate": "run_\ud800",
    "SQL": "'; DROP TABLE pulse_triggers; --",
    "placeholder": "%s",
    "empty": "",
    "3 MiB": "x" * 3 * 2**20,
    "unknown": "run_x",
    "number": 7,
    "5000 digits": 10**5_000,
    "bytes": b"run_x",
    "list": ["run_x"],
}

Ask = Callable[[Engine, str], Awaitable[object]]
METHODS: Mapping[str, Ask] = {
    "get_run": lambda engine, id_: engine.get_run(id_),
    "get_run of a tenant": lambda engine, id_: engine.get_run("run_x", tenant_id=id_),
    "get_run_steps": lambda engine, id_: engine.get_run_steps(id_),
    "get_run_timeline": lambda engine, id_: engine.get_run_timeline(id_),
    "get_run_logs": lambda engine, id_: engine.get_run_logs(id_),
    "get_runs_by_trigger": lambda engine, id_: engine.get_runs_by_trigger(id_),
    "get_trigger": lambda engine, id_: engine.get_trigger(id_),
    "get_failed_runs": lambda engine, id_: engine.get_failed_runs(tenant_id=id_),
    "cancel_run": lambda engine, id_: engine.cancel_run(id_),
    "retry_run": lambda engine, id_: engine.retry_run(id_),
    "replay": lambda engine, id_: engine.replay(id_),
    "get_workflow": lambda engine, id_: engine.get_workflow(id_),
    "list_workflows": lambda engine, id_: engine.list_workflows(tenant_id=id_),
    "list_workflows of a type": lambda engine, id_: engine.list_workflows(trigger_type=id_),
    "update_workflow": lambda engine, id_: engine.update_workflow(id_, {"name": "x"}),
    "enable_workflow": lambda engine, id_: engine.enable_workflow(id_),
    "disable_workflow": lambda engine, id_: engine.disable_workflow(id_),
    "delete_workflow": lambda engine, id_: engine.delete_workflow(id_),
    "next_runs": lambda engine, id_: engine.next_runs(id_),
    "list_run_summaries": lambda engine, id_: engine.list_run_summaries(trigger_id=id_),
    "list_run_summaries of a type": lambda engine, id_: engine.list_run_summaries(
        signal_type=id_, tenant_id="nobody"
    ),
    "list_run_summaries of a resource": lambda engine, id_: engine.list_run_summaries(
        resource_id=id_
    ),
    "list_run_summaries to look at": lambda engine, id_: engine.list_run_summaries(
        attention="retrying", definition_id=id_
    ),
    "list_failures": lambda engine, id_: engine.list_failures(definition_id=id_),
    "get_run_view": lambda engine, id_: engine.get_run_view(id_),
    "get_step": lambda engine, id_: engine.get_step(id_, "0"),
    "get_step of a path": lambda engine, id_: engine.get_step("run_x", id_),
    "list_signals": lambda engine, id_: engine.list_signals(tenant_id=id_),
    "list_signals of a type": lambda engine, id_: engine.list_signals(tenant_id="a", type=id_),
    "list_signals of a resource": lambda engine, id_: engine.list_signals(
        tenant_id="nobody", resource_id=id_
    ),
    "signal_chain": lambda engine, id_: engine.signal_chain(id_),
    "search": lambda engine, id_: engine.search(id_, tenant_id="nobody"),
    "list_tenants": lambda engine, id_: engine.list_tenants(cursor=id_),
    "list_runs of a trigger": lambda engine, id_: engine.list_runs(
        RunFilter.model_construct(trigger_id=id_)
    ),
}


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("method", METHODS)
async def test_no_id_confuses_a_method(poisoned: PulseTest, method: str, name: str) -> None:
    """It is unknown, or no id at all; never an error of a driver."""
    try:
        found = await METHODS[method](poisoned.engine, IDS[name])  # pyright: ignore[reportArgumentType] - mistakes of callers without types
    except (NotFoundError, InvalidInputError):
        return
    assert not (getattr(found, "items", ()) or found) or hasattr(found, "next_cursor")


@pytest.mark.parametrize("name", IDS)
async def test_waiting_for_no_id_hurts_the_other_waiters(poisoned: PulseTest, name: str) -> None:
    """All waiters share one query."""
    type_ = f"waited {name}"
    await poisoned.define(type_, delay("wait", 1))

    with pytest.raises((TimeoutError, NotFoundError)):
        await poisoned.engine.wait_for_run(IDS[name], timeout=0.05)  # pyright: ignore[reportArgumentType] - mistakes of callers without types

    assert (await poisoned.emit_and_wait(type_)).status == "completed"


async def test_a_time_limit_that_is_no_number_is_refused(poisoned: PulseTest) -> None:
    """NaN would disorder the timers of the whole event loop."""
    with pytest.raises(InvalidInputError, match="timeout must be"):
        await poisoned.engine.wait_for_run("run_x", timeout=float("nan"))


@pytest.mark.parametrize("limit", [0, -1, 501, 1.5, True, 2**70, "5", None, []], ids=repr)
async def test_a_bad_page_size_is_refused(poisoned: PulseTest, limit: object) -> None:
    for ask in (poisoned.engine.list_runs, poisoned.engine.list_workflows):
        with pytest.raises(InvalidInputError, match="limit must be a whole number of 1 to 500"):
            await ask(limit=limit)  # pyright: ignore[reportArgumentType] - mistakes of callers without types


@pytest.mark.parametrize("name", [name for name in IDS if name != "unknown"])
async def test_a_bad_cursor_is_refused(poisoned: PulseTest, name: str) -> None:
    for ask in (poisoned.engine.list_runs, poisoned.engine.list_workflows):
        with pytest.raises(InvalidInputError, match="is not a cursor of an earlier page"):
            await ask(cursor=IDS[name])  # pyright: ignore[reportArgumentType] - mistakes of callers without types


async def test_the_ends_of_time_are_no_error(poisoned: PulseTest) -> None:
    last = datetime.max.replace(tzinfo=UTC)
    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))

    assert not (await poisoned.engine.list_runs(RunFilter(created_after=last))).items
    with pytest.raises(InvalidInputError):
        await poisoned.engine.list_runs(RunFilter(created_after=first))


OPTIONS: Mapping[str, dict[str, object]] = {
    "prefix with SQL": {"table_prefix": "x; DROP TABLE y"},
    "prefix with a quote": {"table_prefix": 'x"'},
    "prefix with a line break": {"table_prefix": "pulse_\n"},
    "long prefix": {"table_prefix": "x" * 64},
    "prefix as number": {"table_prefix": 7},
    "queue with NUL": {"queue_prefix": "a\0b"},
    "queue with a line break": {"queue_prefix": "pulse\n"},
    "queue with an emoji": {"queue_prefix": "🎉"},
    "concurrency NaN": {"concurrency": float("nan")},
    "concurrency of 5000 digits": {"concurrency": 10**5_000},
    "negative limit": {"limits": {"steps": -1}},
    "interval as word": {"relay_interval": "soon"},
    "unknown": {"no_such_option": 1},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_bad_option_is_refused_and_named(name: str) -> None:
    options = OPTIONS[name]

    with pytest.raises(ConfigurationError, match=next(iter(options))):
        create_engine("postgresql://nowhere", **options)  # pyright: ignore[reportArgumentType] - hostile


@pytest.mark.parametrize(
    "name",
    ["", "a\n", "a\0b", "\ud800", "x" * 201, 7, None, b"x"],
    ids=lambda value: repr(value)[:9],
)
def test_a_bad_name_of_a_handler_or_a_signal_is_refused(name: object) -> None:
    engine = create_engine("postgresql://nowhere")

    async def act(_: object) -> None: ...

    for register in (engine.register_action, engine.register_condition):
        with pytest.raises(ConfigurationError, match="cannot name"):
            register(name, act)  # pyright: ignore[reportArgumentType] - hostile
    with pytest.raises(ConfigurationError, match="cannot name"):
        engine.register_trigger(name, source=SOURCE)  # pyright: ignore[reportArgumentType] - hostile


FOREIGN: Mapping[str, tuple[str, object]] = {
    "list": ("[1]", {"value": [1]}),
    "text": ('"x"', {"value": "x"}),
    "number": ("7", {"value": 7}),
    "null": ("null", {"value": None}),
    "large number": ('{"v": 18446744073709551616}', {"v": 2.0**64}),
    "number beyond floats": ('{"v": 1' + "0" * 400 + "}", {"v": "1" + "0" * 400}),
    "depth 150": ('{"v": ' + "[" * 149 + "]" * 149 + "}", None),
    "depth 1 000": ('{"v": ' + "[" * 999 + "]" * 999 + "}", "truncated"),
    "5000 digits": ('{"v": 1' + "0" * 5_000 + "}", "truncated"),
}


@pytest.mark.parametrize("name", FOREIGN)
async def test_rows_that_others_wrote_can_be_read(
    poisoned: PulseTest, database_of: asyncpg.Connection, name: str
) -> None:
    """The TypeScript Pulse stored whatever JSON it was given, and names of any length."""
    text, expected = FOREIGN[name]
    id_, long = f"trg_{name}", "x\n" * 500
    await database_of.execute(
        "INSERT INTO pulse_triggers (id, tenant_id, source, type, payload) "
        "VALUES ($1, $2, $2, $2, $3::text::jsonb)",
        id_,
        long,
        text,
    )

    trigger = await poisoned.engine.get_trigger(id_, tenant_id=long)

    assert trigger is not None
    assert trigger.type == long
    if expected is None:
        assert trigger.payload == json.loads(text)
    elif expected == "truncated":
        assert trigger.payload["truncated"] is True
    else:
        assert trigger.payload == expected


async def test_definitions_and_logs_that_others_wrote_can_be_read(
    poisoned: PulseTest, database_of: asyncpg.Connection
) -> None:
    poisoned.action("foreign")
    definition = await poisoned.define("foreign", "foreign", tenant_id="foreign")
    run = await poisoned.emit_and_wait("foreign", tenant_id="foreign")
    await database_of.execute(
        "UPDATE pulse_workflow_definitions SET name = $2, description = $3, config = '[1]' "
        "WHERE id = $1",
        definition.id,
        "x" * 500,
        "y" * 20_000,
    )
    await database_of.execute(
        "INSERT INTO pulse_execution_logs (id, run_id, tenant_id, message, data) "
        "VALUES ('log_x', $1, 'foreign', 'm', '[1e400]')",
        run.id,
    )

    (read,) = (await poisoned.engine.list_workflows(tenant_id="foreign")).items
    (line,) = await poisoned.engine.get_run_logs(run.id)

    assert (read.name, read.config) == ("x" * 500, {"value": [1]})
    assert line.data == {"value": ["1" + "0" * 400]}
    assert await poisoned.timeline(run.id)
