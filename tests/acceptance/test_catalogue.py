"""The catalogue: what live workers know, said for people, and not more than tenants may use."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, Field

from pulse_temporal import CatalogEntry, ConfigurationError, Engine, WorkflowContext, create_engine
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.types import CatalogKind
from tests.harness import PulseTest, eventually, make_pulse


class Alert(BaseModel):
    """Where an alert goes."""

    channel: str = Field(pattern="^#")


class Sent(BaseModel):
    """What came of it."""

    message_id: str


class Unknowable:
    """Of no type that JSON Schema has."""


class Odd(BaseModel):
    """A model without a JSON Schema."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    thing: Unknowable | None = None


async def send(_: WorkflowContext) -> None:
    """Do nothing."""


async def ask(_: WorkflowContext) -> bool:
    """Say yes."""
    return True


def register(engine: Engine) -> None:
    """Register what an application has."""
    engine.register_trigger(
        "order.paid",
        source="shop",
        resource_type="order",
        payload_schema=Alert,
        title="An order was paid",
        description="Sent by the shop.",
    )
    engine.register_action(
        "send_alert",
        send,
        replay_safe=True,
        config_schema=Alert,
        title="Send an alert",
        description="Writes into a channel.",
        group="Messages",
        result_schema=Sent,
    )
    engine.register_action("purge", send, audience="operators")
    engine.condition("is_large", title="Is it large?")(ask)


@pytest.fixture
async def visitor(idle_pulse: PulseTest) -> PulseTest:
    """Give an engine of the same queue that has registered nothing."""
    return make_pulse(idle_pulse.dsn, idle_pulse.temporal_address, like=idle_pulse)


async def entry(engine: Engine, kind: CatalogKind, name: str) -> CatalogEntry:
    """Return one entry."""
    (found,) = [each for each in await engine.catalog() if (each.kind, each.name) == (kind, name)]
    return found


async def test_other_processes_read_what_a_worker_has_registered(
    idle_pulse: PulseTest, visitor: PulseTest
) -> None:
    register(idle_pulse.engine)
    async with idle_pulse.engine:
        found = await visitor.engine.catalog()
        action = await entry(visitor.engine, "action", "send_alert")
        signal = await entry(visitor.engine, "signal", "order.paid")
    await visitor.engine.stop()

    assert [(each.kind, each.name) for each in found] == [
        ("action", "purge"),
        ("action", "send_alert"),
        ("condition", "is_large"),
        ("signal", "order.paid"),
    ]
    assert (action.title, action.group, action.replay_safe, action.workers) == (
        "Send an alert",
        "Messages",
        True,
        1,
    )
    assert action.description == "Writes into a channel."
    assert action.config_schema == Alert.model_json_schema()
    assert action.result_schema == Sent.model_json_schema()
    assert (signal.title, signal.source, signal.resource_type) == (
        "An order was paid",
        "shop",
        "order",
    )
    assert signal.payload_schema == Alert.model_json_schema()


async def test_what_no_live_worker_knows_vanishes(
    idle_pulse: PulseTest, visitor: PulseTest
) -> None:
    register(idle_pulse.engine)
    async with idle_pulse.engine:
        assert await visitor.engine.catalog()
    assert await visitor.engine.catalog() == []
    assert {each.workers for each in await idle_pulse.engine.catalog()} == {0}
    await visitor.engine.stop()


async def test_what_is_registered_later_comes_later(
    idle_pulse: PulseTest, visitor: PulseTest
) -> None:
    async with idle_pulse.engine:
        idle_pulse.engine.register_action("late", send, title="Late")

        async def look() -> bool:
            found = await visitor.engine.catalog()
            return [each.title for each in found if each.name == "late"] == ["Late"]

        await eventually(look)
    await visitor.engine.stop()


async def test_a_tenant_is_not_offered_what_is_for_operators(idle_pulse: PulseTest) -> None:
    register(idle_pulse.engine)
    async with idle_pulse.engine:
        every = {each.name for each in await idle_pulse.engine.catalog()}
        named = {each.name for each in await idle_pulse.engine.catalog(tenant_id="acme")}
        viewed = {each.name for each in await idle_pulse.engine.for_tenant("acme").catalog()}
    assert every - named == {"purge"}
    assert viewed == named


async def test_another_queues_handlers_are_not_in_it(
    idle_pulse: PulseTest, servers: EmbeddedServices
) -> None:
    register(idle_pulse.engine)
    other = make_pulse(idle_pulse.dsn, servers.temporal_address)
    async with idle_pulse.engine:
        assert await other.engine.catalog() == []
    await other.engine.stop()


async def test_a_model_without_a_schema_is_left_out_and_hurts_nobody(
    idle_pulse: PulseTest,
) -> None:
    idle_pulse.engine.register_action("odd", send, config_schema=Odd, title="Odd")
    async with idle_pulse.engine:
        found = await entry(idle_pulse.engine, "action", "odd")
    assert (found.title, found.config_schema, found.workers) == ("Odd", None, 1)


def test_the_same_handler_with_other_options_is_refused() -> None:
    """Before, the later registration won without a word."""
    engine = create_engine("postgresql://nowhere")
    engine.register_action("send", send, replay_safe=True, title="Send")
    engine.register_action("send", send, replay_safe=True, title="Send")
    with pytest.raises(ConfigurationError, match=r"another replay_safe, another title\."):
        engine.register_action("send", send)
    engine.register_condition("ask", ask)
    with pytest.raises(ConfigurationError, match=r"^Condition 'ask' .* another queued\."):
        engine.register_condition("ask", ask, queued=True)
    assert engine.registry.actions["send"].replay_safe


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({"audience": "everybody"}, "audience"),
        ({"title": "a\nb"}, "title"),
        ({"caption": "x"}, "caption"),
        ({"result_schema": dict}, "result_schema"),
    ],
)
def test_what_is_said_wrongly_is_refused(about: dict[str, object], told: str) -> None:
    engine = create_engine("postgresql://nowhere")
    with pytest.raises(ConfigurationError, match=rf"'send' cannot be registered: {told}"):
        engine.register_action("send", send, **about)  # pyright: ignore[reportArgumentType] - the mistake
