"""A handler on the bench: no server, no engine."""

from __future__ import annotations

import pytest

from pulse_temporal import ConfigurationError, WorkflowContext
from pulse_temporal.testing import handler_bench


async def announce(ctx: WorkflowContext) -> dict[str, object]:
    ctx.log("announcing", {"who": ctx.tenant_id})
    await ctx.emit({"source": "shop", "type": "order.large"})
    return {"limit": ctx.config["large"], "before": ctx.run.context["price"]}


def announce_blocking(ctx: WorkflowContext) -> None:
    envelope = ctx.emit_blocking({"tenantId": "acme", "source": "shop", "type": "order.large"})
    ctx.log(envelope.type)


async def test_a_handler_gets_what_the_test_gives_it() -> None:
    bench = handler_bench(config={"large": 500}, context={"price": {"amount": 9}})

    result = await announce(bench.ctx)

    assert result == {"limit": 500, "before": {"amount": 9}}
    (signal,) = bench.emitted
    assert (signal.type, signal.tenant_id) == ("order.large", bench.ctx.tenant_id)
    (line,) = bench.logs
    assert (line.message, line.data) == ("announcing", '{"who":"test-tenant"}')


def test_a_handler_that_is_not_async_needs_no_event_loop() -> None:
    bench = handler_bench()

    announce_blocking(bench.ctx)

    assert [signal.tenant_id for signal in bench.emitted] == ["acme"]
    assert [line.message for line in bench.logs] == ["order.large"]


def test_a_test_cancels_a_handler_and_a_handler_does_not_cancel_itself() -> None:
    bench = handler_bench()
    assert not bench.ctx.canceled

    bench.cancel()

    assert bench.ctx.canceled


def test_a_handler_is_given_nothing_but_what_is_meant_for_it() -> None:
    public = {name for name in dir(handler_bench().ctx) if not name.startswith("_")}

    assert public == {
        *("canceled", "config", "connection", "emit", "emit_blocking", "idempotency_key"),
        *("is_replay", "log", "run", "step", "tenant_id", "trigger"),
    }


def test_a_handler_without_a_transaction_has_no_connection() -> None:
    bench = handler_bench(payload={"a": 1}, is_replay=True)

    assert bench.ctx.trigger.payload == {"a": 1}
    assert bench.ctx.is_replay
    with pytest.raises(ConfigurationError):
        _ = bench.ctx.connection
