"""Many people change one definition at the same moment: nobody's change is lost in silence."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from pulse_temporal import (
    DefinitionConflictError,
    DefinitionError,
    InvalidInputError,
    NotFoundError,
    WorkflowDefinition,
    WorkflowUpdate,
)
from tests.harness import TENANT, PulseTest

FIELDS: dict[str, object] = {
    "name": "Other",
    "description": "Other",
    "triggerType": "other",
    "environmentFilter": "production",
    "resourceTypeFilter": "order",
    "config": {"a": 1},
    "steps": [{"type": "delay", "name": "wait", "delayMs": 5}],
    "isEnabled": False,
    "cronExpression": "0 0 29 2 *",
    "timezone": "Asia/Tokyo",
    "key": "orders",
}


async def current(pulse: PulseTest, definition: WorkflowDefinition) -> WorkflowDefinition:
    """Read a definition, which is there."""
    found = await pulse.engine.get_workflow(definition.id)
    assert found is not None
    return found


async def kinds(connection: asyncpg.Connection, definition: WorkflowDefinition) -> list[str]:
    """Return what a definition's versions have changed, oldest first."""
    rows = await connection.fetch(
        "SELECT version, kind FROM pulse_definition_versions WHERE definition_id = $1"
        " ORDER BY valid_from",
        definition.id,
    )
    assert [row["version"] for row in rows] == list(range(1, len(rows) + 1))
    return [row["kind"] for row in rows]


async def test_changes_of_every_field_at_once_all_take_effect(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    created = await idle_pulse.define("order.paid")

    await asyncio.gather(
        *(
            idle_pulse.engine.update_workflow(created.id, {name: value})
            for name, value in FIELDS.items()
        )
    )

    changed = await current(idle_pulse, created)
    written = changed.model_dump(mode="json", exclude_none=True)
    assert {name: written[name] for name in FIELDS} == FIELDS
    assert changed.version == 1 + len(FIELDS)
    assert await kinds(connection, created) == ["content"] * (1 + len(FIELDS))


async def test_many_changes_of_one_field_at_once_are_all_accepted(idle_pulse: PulseTest) -> None:
    created = await idle_pulse.define("order.paid")

    changed = await asyncio.gather(
        *(
            idle_pulse.engine.update_workflow(created.id, {"name": f"{number}"})
            for number in range(16)
        )
    )

    last = max(changed, key=lambda definition: definition.version)
    assert sorted(each.version for each in changed) == list(range(2, 18))
    assert await current(idle_pulse, created) == last


async def test_enabling_and_disabling_meanwhile_undo_no_change(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    engine = idle_pulse.engine
    created = await idle_pulse.define("order.paid")

    await asyncio.gather(
        engine.disable_workflow(created.id),
        *(engine.update_workflow(created.id, {"config": {"n": number}}) for number in range(4)),
        engine.update_workflow(created.id, {"name": "Other"}),
    )

    changed = await current(idle_pulse, created)
    assert (changed.is_enabled, changed.name) == (False, "Other")
    assert sorted(await kinds(connection, created)) == ["content"] * 6 + ["disabled"]


async def test_a_deleted_definition_takes_no_change_any_more(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    engine = idle_pulse.engine
    created = await idle_pulse.define("order.paid")

    results = await asyncio.gather(
        *(engine.update_workflow(created.id, {"config": {"n": number}}) for number in range(4)),
        engine.delete_workflow(created.id),
        *(engine.update_workflow(created.id, {"config": {"m": number}}) for number in range(4)),
        return_exceptions=True,
    )

    errors = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(error, NotFoundError) for error in errors)
    assert await engine.get_workflow(created.id) is None
    assert (await kinds(connection, created))[-1] == "deleted"


async def test_of_two_editors_the_later_one_is_refused(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    created = await idle_pulse.define("order.paid")

    first, second = await asyncio.gather(
        engine.update_workflow(created.id, {"name": "First"}, version=created.version),
        engine.update_workflow(created.id, {"name": "Second"}, version=created.version),
        return_exceptions=True,
    )

    refused = first if isinstance(first, BaseException) else second
    assert isinstance(refused, DefinitionConflictError)
    assert (refused.code, refused.retryable) == ("definition_conflict", False)
    assert (refused.definition_id, refused.current_version) == (created.id, 2)
    assert "has version 2 now, and the change was made for version 1" in str(refused)
    assert (await current(idle_pulse, created)).version == 2


@pytest.mark.parametrize("change", [{"name": "Other"}, {}, {"isEnabled": True}])
async def test_a_change_for_an_old_version_is_refused_whatever_it_is(
    idle_pulse: PulseTest, change: dict[str, object]
) -> None:
    """Enabling and disabling count too."""
    engine = idle_pulse.engine
    created = await idle_pulse.define("order.paid")
    await engine.disable_workflow(created.id)

    with pytest.raises(DefinitionConflictError):
        await engine.update_workflow(created.id, change, version=created.version)

    changed = await engine.update_workflow(created.id, {"name": "Other"}, version=2)
    assert (changed.version, changed.is_enabled) == (3, False)


@pytest.mark.parametrize("version", [0, -1, True, "2", 1.0])
async def test_a_version_is_a_number(idle_pulse: PulseTest, version: int) -> None:
    created = await idle_pulse.define("order.paid")

    with pytest.raises(InvalidInputError, match="version must be a whole number"):
        await idle_pulse.engine.update_workflow(created.id, {}, version=version)


@pytest.mark.parametrize(
    "change",
    [
        {},
        WorkflowUpdate(),
        {"name": "On order.paid"},
        {"config": {"b": [1, 2.5, None], "a": {"y": "ä", "x": True}}},
        {"steps": [{"type": "delay", "name": "wait", "delayMs": 5}]},
        {"isEnabled": True, "description": None},
    ],
)
async def test_a_change_that_changes_nothing_makes_no_version(
    idle_pulse: PulseTest, connection: asyncpg.Connection, change: WorkflowUpdate
) -> None:
    created = await idle_pulse.define(
        "order.paid",
        {"type": "delay", "name": "wait", "delayMs": 5},
        config={"a": {"x": True, "y": "ä"}, "b": [1, 2.5, None]},
        cronExpression="0 0 29 2 *",
    )
    commands = "SELECT count(*) FROM pulse_outbox"
    before = await connection.fetchval(commands)

    changed = await idle_pulse.engine.update_workflow(created.id, change)

    assert changed == created
    assert await current(idle_pulse, created) == created
    assert await connection.fetchval(commands) == before


async def test_a_small_change_is_a_change(idle_pulse: PulseTest) -> None:
    """What Python calls equal is not always the same JSON."""
    created = await idle_pulse.define("order.paid", config={"a": 1})

    changed = await idle_pulse.engine.update_workflow(created.id, {"config": {"a": True}})
    again = await idle_pulse.engine.update_workflow(created.id, {"config": {"a": 1.0}})

    assert (changed.version, again.version) == (2, 3)
    stored = await current(idle_pulse, created)
    assert isinstance(stored.config["a"], float)


async def test_enabling_what_is_enabled_makes_no_version(idle_pulse: PulseTest) -> None:
    created = await idle_pulse.define("order.paid")

    await idle_pulse.engine.enable_workflow(created.id)

    assert await current(idle_pulse, created) == created


async def test_every_version_is_kept_with_what_its_author_sent(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    created = await idle_pulse.define("order.paid", config={"a": 1})
    await idle_pulse.engine.update_workflow(created.id, {"config": {"a": 2}, "timezone": "UTC"})
    await idle_pulse.engine.disable_workflow(created.id)
    await idle_pulse.engine.delete_workflow(created.id)

    rows = await connection.fetch(
        "SELECT kind, tenant_id, content -> 'config' ->> 'a' AS a, content ->> 'timezone' AS zone"
        " FROM pulse_definition_versions ORDER BY version"
    )

    assert [tuple(row.values()) for row in rows] == [
        ("content", TENANT, "1", None),
        ("content", TENANT, "2", "UTC"),
        ("disabled", TENANT, None, None),
        ("deleted", TENANT, None, None),
    ]


async def test_a_refused_change_leaves_no_version(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    created = await idle_pulse.define("order.paid")

    with pytest.raises(DefinitionError):
        await idle_pulse.engine.update_workflow(created.id, {"name": ""})

    assert await kinds(connection, created) == ["content"]


async def test_a_run_may_start_while_its_definition_is_being_changed(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    created = await idle_pulse.define("order.paid")

    async with connection.transaction():
        await connection.execute(
            "SELECT 1 FROM pulse_workflow_definitions WHERE id = $1 FOR NO KEY UPDATE", created.id
        )
        trigger = await idle_pulse.emit("order.paid")

    assert len(trigger.run_ids) == 1
