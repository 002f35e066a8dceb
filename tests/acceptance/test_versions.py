"""What a definition was: who changed it, when and why, and back to what it was before."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from pulse_temporal import (
    Actor,
    DefinitionConflictError,
    DefinitionError,
    DefinitionVersion,
    InvalidInputError,
    NotFoundError,
    acting,
)
from tests.harness import TENANT, PulseTest

ADA = Actor(id="user:ada", name="Ada")
BOB = Actor(id="key_1", name="Deployment", kind="key")


async def told(pulse: PulseTest, definition_id: str) -> list[DefinitionVersion]:
    """Return all versions, oldest first."""
    page = await pulse.engine.definitions.list_versions(definition_id)
    return list(reversed(page.items))


async def test_every_change_is_told_with_who_made_it_and_why(idle_pulse: PulseTest) -> None:
    definitions = idle_pulse.engine.definitions
    created = await idle_pulse.define("order.paid", config={"a": 1})
    with acting(ADA):
        await definitions.update(created.id, {"config": {"a": 2}}, note="Twice as much")
        with acting(BOB):
            await definitions.disable(created.id, note="Too\0 many " + "x" * 2_000)
        await definitions.enable(created.id)
    await definitions.delete(created.id, note="Over")

    found = await told(idle_pulse, created.id)

    assert [(each.version, each.kind) for each in found] == [
        (1, "content"),
        (2, "content"),
        (3, "disabled"),
        (4, "enabled"),
        (5, "deleted"),
    ]
    library = Actor(id="library", name="library", kind="library")
    assert [each.actor for each in found] == [library, ADA, BOB, ADA, library]
    assert [(each.note or "")[:10] for each in found] == [
        "",
        "Twice as m",
        "Too\ufffd many ",
        "",
        "Over",
    ]
    assert len((found[2].note or "").encode()) <= 1_000
    assert found[0].valid_from == created.created_at
    assert all(each.content is None and each.tenant_id == TENANT for each in found)
    moments = [each.valid_from for each in found]
    assert moments == sorted(moments)


async def test_put_has_a_note_too_and_what_changes_nothing_leaves_none(
    idle_pulse: PulseTest,
) -> None:
    definitions = idle_pulse.engine.definitions
    content: dict[str, object] = {"tenantId": TENANT, "name": "n", "triggerType": "t", "steps": []}

    for name in ("n", "n", "m"):
        put = await definitions.put({**content, "name": name}, key="k", note=f"To {name}")

    found = await told(idle_pulse, put.definition.id)
    assert [each.note for each in found] == ["To n", "To m"]


async def test_a_version_has_all_that_the_definition_was(idle_pulse: PulseTest) -> None:
    definitions = idle_pulse.engine.definitions
    created = await idle_pulse.define("order.paid", key="orders", config={"a": 1})
    await definitions.disable(created.id)
    await definitions.update(created.id, {"config": {"a": 2}})
    await definitions.delete(created.id)

    seen: list[object] = []
    for number in range(1, 5):
        version = await definitions.get_version(created.id, number)
        assert version is not None
        assert version.content is not None
        seen.append((version.content["config"], version.content["isEnabled"]))

    assert seen == [({"a": 1}, True), ({"a": 1}, False), ({"a": 2}, False), ({"a": 2}, False)]
    first = await definitions.get_version(created.id, 1)
    assert first is not None
    assert first.content == {
        "tenantId": TENANT,
        "key": "orders",
        "name": "On order.paid",
        "triggerType": "order.paid",
        "isEnabled": True,
        "steps": [],
        "config": {"a": 1},
    }
    assert await definitions.get_version(created.id, 5) is None
    assert await definitions.get_version("wfd_x", 1) is None


async def test_pages_of_versions_end(idle_pulse: PulseTest) -> None:
    definitions = idle_pulse.engine.definitions
    created = await idle_pulse.define("order.paid")
    for number in range(4):
        await definitions.update(created.id, {"name": f"{number}"})

    numbers: list[int] = []
    cursor, pages = None, 0
    while pages == 0 or cursor:
        page = await definitions.list_versions(created.id, limit=2, cursor=cursor)
        numbers += [each.version for each in page.items]
        cursor, pages = page.next_cursor, pages + 1

    assert (numbers, pages) == ([5, 4, 3, 2, 1], 3)


async def test_restoring_makes_a_new_version_with_the_old_content(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    definitions = idle_pulse.engine.definitions
    created = await idle_pulse.define(
        "order.paid",
        {"type": "delay", "name": "wait", "delayMs": 5},
        description="First",
        config={"a": 1, "b": [1.0, None]},
        cronExpression="0 0 29 2 *",
        environmentFilter="production",
    )
    change: dict[str, object] = {
        "description": None,
        "config": {},
        "steps": [],
        "cronExpression": None,
        "environmentFilter": None,
        "triggerType": "other",
    }
    await definitions.update(created.id, change)
    await connection.execute("DELETE FROM pulse_outbox")

    with acting(ADA):
        restored = await definitions.restore_version(created.id, 1, version=2, note="As before")

    assert restored.version == 3
    same = created.model_dump(exclude={"version", "updated_at"})
    assert restored.model_dump(exclude={"version", "updated_at"}) == same
    assert (await definitions.get(created.id)) == restored
    newest = (await told(idle_pulse, created.id))[-1]
    assert (newest.kind, newest.actor, newest.note) == ("content", ADA, "As before")
    # Its cron is back: the schedule follows.
    assert await connection.fetchval("SELECT kind FROM pulse_outbox") == "schedule"
    assert (await definitions.restore_version(created.id, 1)).version == 3


async def test_restoring_neither_enables_nor_gives_back_a_key(idle_pulse: PulseTest) -> None:
    definitions = idle_pulse.engine.definitions
    created = await idle_pulse.define("order.paid", key="old", config={"a": 1})
    await definitions.update(created.id, {"key": "new", "config": {}})
    await definitions.disable(created.id)

    restored = await definitions.restore_version(created.id, 1)

    assert (restored.key, restored.is_enabled, restored.config) == ("new", False, {"a": 1})


async def test_what_is_restored_is_checked_like_something_new(pulse: PulseTest) -> None:
    pulse.action("known")
    pulse.action("gone")
    definitions = pulse.engine.definitions
    created = await pulse.define("order.paid", "gone")
    await definitions.update(created.id, {"steps": [{"type": "action", "name": "known"}]})
    del pulse.engine.registry.actions["gone"]

    async with asyncio.timeout(20):  # the row of this worker names it for a moment
        while True:
            try:
                await definitions.restore_version(created.id, 1)
            except DefinitionError as error:
                (problem,) = error.problems
                break
            await definitions.restore_version(created.id, 2)
            await asyncio.sleep(0.2)

    assert problem.pointer == "/steps/0/name"


async def test_restoring_refuses_what_is_not_there(idle_pulse: PulseTest) -> None:
    definitions = idle_pulse.engine.definitions
    created = await idle_pulse.define("order.paid")

    with pytest.raises(NotFoundError, match="has no version 2; its newest one is 1"):
        await definitions.restore_version(created.id, 2)
    with pytest.raises(DefinitionConflictError):
        await definitions.restore_version(created.id, 1, version=7)
    for number in (0, -1, True, "1", 2**40):
        with pytest.raises(InvalidInputError, match="number of a version"):
            await definitions.restore_version(created.id, number)  # pyright: ignore[reportArgumentType] - what a mistake looks like
        with pytest.raises(InvalidInputError, match="number of a version"):
            await definitions.get_version(created.id, number)  # pyright: ignore[reportArgumentType] - what a mistake looks like
    for cursor in ("x", "MjAyNi0xMS0zMFQyMDo0MTowMCswMDowMCBydW5fMQ=="):
        with pytest.raises(InvalidInputError, match="not a cursor"):
            await definitions.list_versions(created.id, cursor=cursor)

    await definitions.delete(created.id)
    with pytest.raises(NotFoundError):
        await definitions.restore_version(created.id, 1)
    with pytest.raises(NotFoundError):
        await definitions.list_versions("wfd_x")


async def test_another_tenants_versions_are_those_of_an_unknown_definition(
    idle_pulse: PulseTest,
) -> None:
    created = await idle_pulse.define("order.paid", tenant_id="globex")
    acme = idle_pulse.engine.for_tenant("acme").definitions

    def about(error: pytest.ExceptionInfo[NotFoundError], definition_id: str) -> str:
        return str(error.value).replace(definition_id, "ID")

    messages: set[str] = set()
    for definition_id in (created.id, "wfd_absent"):
        with pytest.raises(NotFoundError) as listed:
            await acme.list_versions(definition_id)
        with pytest.raises(NotFoundError) as restored:
            await acme.restore_version(definition_id, 1)
        assert await acme.get_version(definition_id, 1) is None
        messages |= {about(listed, definition_id), about(restored, definition_id)}
    assert len(messages) == 1
    assert len(await told(idle_pulse, created.id)) == 1


async def test_a_definition_without_versions_shows_what_it_is(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    """The TypeScript Pulse keeps none; older releases did not keep who."""
    definitions = idle_pulse.engine.definitions
    created = await idle_pulse.define("order.paid", config={"a": 1})
    await connection.execute(
        "UPDATE pulse_definition_versions SET actor = 'ann', actor_name = NULL, actor_kind = NULL"
    )
    (version,) = await told(idle_pulse, created.id)
    assert version.actor == Actor(id="ann", name="ann")
    await connection.execute("DELETE FROM pulse_definition_versions")

    (version,) = await told(idle_pulse, created.id)
    found = await definitions.get_version(created.id, 1)

    assert (version.version, version.kind, version.actor) == (1, "content", None)
    assert found is not None
    assert found.content is not None
    assert found.content["config"] == {"a": 1}


async def test_two_requests_side_by_side_do_not_mix_up_who_acts(idle_pulse: PulseTest) -> None:
    definitions = idle_pulse.engine.definitions
    created = [await idle_pulse.define("order.paid") for _ in range(8)]

    async def serve(number: int) -> None:
        with acting(Actor(id=f"user:{number}", name=f"{number}")):
            await asyncio.sleep(0)
            await definitions.disable(created[number].id)

    await asyncio.gather(*(serve(number) for number in range(8)))

    for number in range(8):
        actor = (await told(idle_pulse, created[number].id))[-1].actor
        assert actor is not None
        assert actor.id == f"user:{number}"


async def test_who_acts_is_known_to_the_blocking_twin(pulse: PulseTest) -> None:
    created = await pulse.define("order.paid")
    blocking = pulse.engine.blocking

    def serve() -> DefinitionVersion:
        with acting(BOB):
            blocking.definitions.disable(created.id)
        return blocking.definitions.list_versions(created.id).items[0]

    version = await asyncio.to_thread(serve)

    assert (version.kind, version.actor) == ("disabled", BOB)


async def test_only_an_actor_acts() -> None:
    with pytest.raises(InvalidInputError, match="takes an Actor, not 'ada'"), acting("ada"):  # pyright: ignore[reportArgumentType] - what a mistake looks like
        pass
