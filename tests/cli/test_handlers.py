"""``pulse handlers list`` and ``pulse signals types``."""

from __future__ import annotations

import json

from pydantic import BaseModel

from pulse_temporal import WorkflowContext
from tests.cli.conftest import Ask
from tests.harness import PulseTest


class Alert(BaseModel):
    """Where an alert goes."""

    channel: str
    note: str = ""


async def send(_: WorkflowContext) -> None:
    """Do nothing."""


async def test_handlers_and_types_of_live_workers_are_listed(
    ask: Ask, idle_pulse: PulseTest
) -> None:
    engine = idle_pulse.engine
    engine.register_action("send", send, title="Send an alert", config_schema=Alert)
    engine.register_action("purge", send, audience="operators")
    engine.register_trigger("order.paid", source="shop", payload_schema=Alert, title="Paid")
    assert "No live worker offers one" in (await ask("handlers", "list")).stderr
    async with engine:
        offered = await ask("handlers", "list")
        actions = await ask("handlers", "list", "--kind", "action", "-ojsonl")
        conditions = await ask("handlers", "list", "--kind", "condition", "-ojson")
        types = await ask("signals", "types")

    head, line = offered.lines
    assert head.split() == ["KIND", "HANDLER", "TITLE", "FOR", "CONFIG", "WORKERS"]
    assert line.split(None, 2)[:2] == ["action", "send"]
    assert "channel*, note" in line
    assert [json.loads(each)["name"] for each in actions.lines] == ["send"]
    assert json.loads(conditions.stdout) == []
    assert types.lines[1].split() == ["order.paid", "Paid", "shop", "channel*,", "note", "1"]
    assert "pulse emit order.paid" in types.stderr
