"""What the runs are about: signals, definitions, and handlers whose effects can be counted."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from pydantic import JsonValue

from pulse_temporal import Engine, WorkflowContext, create_engine
from pulse_temporal.testing import StepLike, action, condition, delay, parallel

QUEUE = "chaos"
SOURCE = "chaos"
TENANTS = ("acme", "globex")
CHILD = "chaos.child"
SHORT_MS = 1_500
"""A declared timeout that makes a step a local activity."""

PATIENCE = timedelta(seconds=2)
UNSTEADY = {"maxAttempts": 4, "backoffMs": 100, "backoffCoefficient": 1.5}
TRANSACTIONAL = ("pay", "pay_again", "pay_unsteadily", "pay_and_tell")
PLAIN = ("note", "note_again", "note_unsteadily", "note_late", "tell")
MILLISECONDS = (0, 0, 20, 60, 150, 400, 900)

TABLES = """
CREATE TABLE chaos_effects (run_id text, path text, pid integer);
CREATE TABLE chaos_orders (op integer, trigger_id text);
"""


def act(label: str, **fields: object) -> dict[str, object]:
    """Write an action step; the first word of its name is the handler's."""
    return action(label, uses=label.split(maxsplit=1)[0], **fields)


def short(label: str, **fields: object) -> dict[str, object]:
    """Write an action step that is delivered as a local activity first."""
    return act(label, timeoutMs=SHORT_MS, **fields)


def unsteady(label: str, **fields: object) -> dict[str, object]:
    """Write an action step whose first attempts may fail."""
    return act(label, retryPolicy=UNSTEADY, **fields)


def ask(label: str, **fields: object) -> dict[str, object]:
    """Write a condition step."""
    return condition(label, uses="ask", timeoutMs=SHORT_MS, **fields)


DEFINITIONS: Mapping[str, Sequence[Sequence[StepLike]]] = {
    "chaos.sequence": [
        [act("note a"), short("note b"), act("pay c"), short("note d")],
        [short("note a"), act("pay_again b"), act("note_again c")],
    ],
    "chaos.choice": [
        [
            ask("ask first", onFalse="skip"),
            act("pay skipped"),
            ask("ask last", onFalse="complete"),
            short("note then"),
            act("pay then"),
        ]
    ],
    "chaos.wait": [
        [
            act("note a"),
            delay("pause", 300),
            act("pay b"),
            delay("pause again", 700),
            short("note c"),
        ]
    ],
    "chaos.branches": [
        [
            short("note before"),
            parallel(
                "outer",
                [act("note a"), act("pay b")],
                [
                    delay("pause", 200),
                    parallel("inner", [short("note c")], [act("pay d"), ask("ask e")]),
                ],
                [ask("ask f", onFalse="complete"), act("pay g")],
            ),
            act("pay after"),
        ]
    ],
    "chaos.unsteady": [
        [
            unsteady("note_unsteadily a"),
            unsteady("pay_unsteadily b"),
            unsteady("note_unsteadily c", timeoutMs=SHORT_MS),
        ]
    ],
    "chaos.broken": [
        [act("pay before"), short("note_late broken"), act("pay after")],
        [
            parallel(
                "both",
                [act("pay a"), act("note_late broken"), act("pay b")],
                [act("note c"), act("pay d")],
            ),
            act("pay after"),
        ],
    ],
    "chaos.chain": [[act("tell a"), act("pay_and_tell b"), act("note c")]],
    CHILD: [[short("note a"), act("pay b")]],
}
"""The definitions of each signal; every tenant has all of them."""


def make_signal(chance: random.Random, *, op: int) -> dict[str, object]:
    """Draw a signal; what it makes the handlers do is in its payload."""
    types = [type_ for type_ in DEFINITIONS if type_ != CHILD]
    payload: dict[str, JsonValue] = {
        "op": op,
        "ms": chance.choice(MILLISECONDS),
        "fails": chance.randint(0, 3),
        "until_generation": chance.randint(1, 3),
        "answer": chance.random() < 0.6,
    }
    return {
        "tenantId": chance.choice(TENANTS),
        "source": SOURCE,
        "type": chance.choice(types),
        "payload": payload,
    }


class Desk:
    """The handlers; their effects outside of Postgres go into one file a process."""

    def __init__(self, effects: Path) -> None:
        effects.mkdir(exist_ok=True)
        self.file = effects / str(os.getpid())

    async def note(self, ctx: WorkflowContext) -> dict[str, object]:
        """Take a while, then have an effect that no transaction undoes."""
        await self._take_time(ctx)
        line = f"{ctx.run.id} {ctx.step.path}\n".encode()
        file = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(file, line)
        finally:
            os.close(file)
        return {"by": os.getpid()}

    async def note_unsteadily(self, ctx: WorkflowContext) -> dict[str, object]:
        """Fail so often as the signal says before."""
        self._fail_at_first(ctx)
        return await self.note(ctx)

    async def note_late(self, ctx: WorkflowContext) -> dict[str, object]:
        """Fail until the run has been retried so often as the signal says."""
        if ctx.run.generation < number(ctx, "until_generation"):
            raise RuntimeError("fails in this generation")
        return await self.note(ctx)

    async def pay(self, ctx: WorkflowContext) -> dict[str, object]:
        """Have an effect in the transaction that records the step."""
        await ctx.connection.execute(
            "INSERT INTO chaos_effects (run_id, path, pid) VALUES ($1, $2, $3)",
            ctx.run.id,
            ctx.step.path,
            os.getpid(),
        )
        await self._take_time(ctx)
        return {"by": os.getpid()}

    async def pay_unsteadily(self, ctx: WorkflowContext) -> dict[str, object]:
        """Have the effect and fail nevertheless."""
        paid = await self.pay(ctx)
        self._fail_at_first(ctx)
        return paid

    async def tell(self, ctx: WorkflowContext) -> dict[str, object]:
        """Emit a signal that this one causes."""
        noted = await self.note(ctx)
        await ctx.emit({"source": SOURCE, "type": CHILD, "payload": ctx.trigger.payload})
        return noted

    async def pay_and_tell(self, ctx: WorkflowContext) -> dict[str, object]:
        """Do both in one transaction."""
        await ctx.emit({"source": SOURCE, "type": CHILD, "payload": ctx.trigger.payload})
        return await self.pay(ctx)

    async def ask(self, ctx: WorkflowContext) -> bool:
        """Answer as the signal says."""
        return ctx.trigger.payload["answer"] is True

    async def _take_time(self, ctx: WorkflowContext) -> None:
        await asyncio.sleep(number(ctx, "ms") / 1000)

    def _fail_at_first(self, ctx: WorkflowContext) -> None:
        if ctx.step.attempt <= number(ctx, "fails"):
            raise RuntimeError(f"attempt {ctx.step.attempt} fails as the signal says")


def number(ctx: WorkflowContext, name: str) -> int:
    """Read a number from the payload of a run's signal."""
    value = ctx.trigger.payload[name]
    assert isinstance(value, int)
    return value


def make_engine(dsn: str, address: str, effects: Path) -> Engine:
    """Make an engine with all signals and handlers, and with little patience."""
    engine = create_engine(
        dsn,
        address,
        queue_prefix=QUEUE,
        heartbeat_timeout=PATIENCE,
        task_timeout=PATIENCE,
        postgres_timeout=PATIENCE,
        temporal_timeout=PATIENCE,
        emit_lease=PATIENCE,
        shutdown_grace=PATIENCE,
    )
    for type_ in DEFINITIONS:
        engine.register_trigger(type_, source=SOURCE)
    desk = Desk(effects)
    engine.register_action("note", desk.note)
    engine.register_action("note_again", desk.note, replay_safe=True)
    engine.register_action("note_unsteadily", desk.note_unsteadily)
    engine.register_action("note_late", desk.note_late)
    engine.register_action("tell", desk.tell)
    engine.register_action("pay", desk.pay, transactional=True)
    engine.register_action("pay_again", desk.pay, transactional=True, replay_safe=True)
    engine.register_action("pay_unsteadily", desk.pay_unsteadily, transactional=True)
    engine.register_action("pay_and_tell", desk.pay_and_tell, transactional=True)
    engine.register_condition("ask", desk.ask)
    return engine


async def define(engine: Engine) -> None:
    """Store the definitions of every tenant."""
    for tenant_id in TENANTS:
        for type_, definitions in DEFINITIONS.items():
            for number_, steps in enumerate(definitions, start=1):
                await engine.create_workflow(
                    {
                        "tenantId": tenant_id,
                        "name": f"{type_} {number_}",
                        "triggerType": type_,
                        "steps": list(steps),
                    }
                )
