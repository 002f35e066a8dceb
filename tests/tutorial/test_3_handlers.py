"""Handlers: what they are given and return, how they fail, and how often they are called."""

from __future__ import annotations

from datetime import timedelta

from pulse_temporal import ActionResult, NonRetryableError, RetryAfterError, WorkflowContext
from pulse_temporal.testing import PulseTestEnvironment, RunResult, handler_bench
from pulse_temporal.types import CallNext


async def run_action(env: PulseTestEnvironment, name: str, **fields: object) -> RunResult:
    """Run a definition of one action."""
    step = {"type": "action", "name": name, **fields}
    return await env.run({"name": "One step", "triggerType": "t3.started", "steps": [step]})


async def test_26_a_handler_is_an_async_function(env: PulseTestEnvironment) -> None:
    """It takes the context and returns a mapping, which is the step's result."""

    @env.engine.action("t26_greet")
    async def greet(ctx: WorkflowContext) -> dict[str, object]:
        return {"greeting": f"Hello {ctx.tenant_id}"}

    result = await run_action(env, "t26_greet")

    assert result.context == {"t26_greet": {"greeting": "Hello test-tenant"}}


async def test_27_a_handler_may_be_a_plain_function(env: PulseTestEnvironment) -> None:
    """It runs in a thread, so it may block."""

    @env.engine.action("t27_render")
    def render(_ctx: WorkflowContext) -> dict[str, object]:
        return {"pages": 3}

    result = await run_action(env, "t27_render")

    assert result.context == {"t27_render": {"pages": 3}}


async def test_28_a_handler_writes_into_the_runs_log(env: PulseTestEnvironment) -> None:
    """Lines are kept with the run, in order."""

    @env.engine.action("t28_charge")
    async def charge(ctx: WorkflowContext) -> None:
        ctx.log("Charged", {"amount": 5})
        ctx.log("The card expires soon", level="warn")

    result = await run_action(env, "t28_charge")

    assert [(line.level, line.message) for line in result.logs] == [
        ("info", "Charged"),
        ("warn", "The card expires soon"),
    ]


async def test_29_without_a_policy_a_failure_is_final(env: PulseTestEnvironment) -> None:
    """What a handler raises fails the step, and the step the run."""
    env.script_action("charge", raises=ValueError("no card"))

    result = await run_action(env, "charge")

    assert result.status == "failed"
    assert result.step("charge").error_message == "ValueError: no card"


async def test_30_a_retry_policy_grants_more_attempts(env: PulseTestEnvironment) -> None:
    """``maxAttempts`` counts all calls; the pauses between them double."""
    charge = env.script_action("charge", fails=2)

    policy = {"maxAttempts": 3, "backoffMs": 60_000}
    result = await run_action(env, "charge", retryPolicy=policy)

    assert result.status == "completed"
    assert [ctx.step.attempt for ctx in charge.calls] == [1, 2, 3]


async def test_31_a_handler_may_rule_out_another_attempt(env: PulseTestEnvironment) -> None:
    """``NonRetryableError`` fails the step at once."""
    charge = env.script_action("charge", raises=NonRetryableError("the card is stolen"))

    policy = {"maxAttempts": 5, "backoffMs": 60_000}
    result = await run_action(env, "charge", retryPolicy=policy)

    assert (result.status, len(charge.calls)) == ("failed", 1)


async def test_32_a_handler_may_ask_for_patience(env: PulseTestEnvironment) -> None:
    """``RetryAfterError`` replaces the policy's pause."""
    busy = RetryAfterError("busy", retry_after=timedelta(hours=1))
    env.script_action("charge", fails=1, raises=busy)
    began = await env.now()

    policy = {"maxAttempts": 2, "backoffMs": 100}
    result = await run_action(env, "charge", retryPolicy=policy)

    assert result.status == "completed"
    assert await env.now() - began >= timedelta(hours=1)


async def test_33_an_action_may_report_a_failure(env: PulseTestEnvironment) -> None:
    """``success=False`` counts as a failed attempt, as if it had raised."""
    env.script_action("charge", returns=ActionResult(success=False, error="declined"))

    result = await run_action(env, "charge")

    assert result.status == "failed"
    assert "declined" in (result.step("charge").error_message or "")


async def test_34_an_attempt_has_a_bound(env: PulseTestEnvironment) -> None:
    """``timeoutMs`` holds for each attempt by itself."""

    @env.engine.action("t34_hang")
    def hang(ctx: WorkflowContext) -> None:
        while not ctx.canceled:  # true when the time is over
            pass

    result = await run_action(env, "t34_hang", timeoutMs=100)

    assert "HandlerTimeoutError" in (result.step("t34_hang").error_message or "")


async def test_35_every_attempt_has_its_traceback(env: PulseTestEnvironment) -> None:
    """It shows the application's own frames."""

    @env.engine.action("t35_divide")
    async def divide(_ctx: WorkflowContext) -> dict[str, object]:
        return {"quotient": 1 / 0}

    result = await run_action(env, "t35_divide")

    assert 'return {"quotient": 1 / 0}' in result.tracebacks


async def test_36_the_idempotency_key_is_the_same_in_every_attempt(
    env: PulseTestEnvironment,
) -> None:
    """Hand it to providers that drop duplicates: an action runs at least once."""
    charge = env.script_action("charge", fails=1)

    policy = {"maxAttempts": 2, "backoffMs": 60_000}
    result = await run_action(env, "charge", retryPolicy=policy)

    assert [ctx.idempotency_key for ctx in charge.calls] == [f"{result.id}:0"] * 2


async def test_37_a_transactional_action_acts_exactly_once(env: PulseTestEnvironment) -> None:
    """What it does on ``ctx.connection`` commits with the step's record, or not at all."""
    async with env.engine.transaction() as connection:
        await connection.execute("CREATE TABLE t37_orders (attempt int)")

    @env.engine.action("t37_save", transactional=True)
    async def save(ctx: WorkflowContext) -> None:
        await ctx.connection.execute("INSERT INTO t37_orders VALUES ($1)", ctx.step.attempt)
        if ctx.step.attempt == 1:
            raise RuntimeError("after the insert")

    await run_action(env, "t37_save", retryPolicy={"maxAttempts": 2, "backoffMs": 60_000})

    async with env.engine.transaction() as connection:
        rows = await connection.fetch("SELECT attempt FROM t37_orders")
    assert [row["attempt"] for row in rows] == [2]


async def test_38_a_handler_is_tested_alone() -> None:
    """``handler_bench`` makes a context without any server."""

    async def announce(ctx: WorkflowContext) -> None:
        if ctx.trigger.payload["amount"] == 900:
            await ctx.emit({"source": "shop", "type": "order.large"})

    bench = handler_bench(payload={"amount": 900})

    await announce(bench.ctx)

    assert [signal.type for signal in bench.emitted] == ["order.large"]


async def test_39_middleware_is_around_every_handler(env: PulseTestEnvironment) -> None:
    """What all handlers need, a span or a session, is written once."""
    seen: list[str] = []

    async def traced(ctx: WorkflowContext, call_next: CallNext) -> object:
        seen.append(f"begin {ctx.step.step_name}")
        answer = await call_next()
        seen.append("end")
        return answer

    traced_env = PulseTestEnvironment.start(postgres=env.dsn, handler_middleware=[traced])
    async with traced_env as other:
        other.script_action("charge")
        await run_action(other, "charge")

    assert seen == ["begin charge", "end"]
