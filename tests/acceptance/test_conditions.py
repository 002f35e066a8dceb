"""A condition decides what follows: the next steps, fewer of them, or the end of its list."""

from __future__ import annotations

import pytest

from pulse_temporal.testing import action, condition, parallel
from tests.harness import PulseTest


async def test_a_true_condition_lets_the_run_go_on(pulse: PulseTest) -> None:
    pulse.condition("is_large", returns=True)
    review = pulse.action("review")
    await pulse.define("order.paid", condition("is_large"), "review")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert review.call_count == 1


async def test_a_false_condition_completes_the_run_early(pulse: PulseTest) -> None:
    """Without ``onFalse`` the steps that follow are skipped, and the run has not failed."""
    pulse.condition("is_large", returns=False)
    review = pulse.action("review")
    await pulse.define("order.paid", condition("is_large"), "review")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert review.call_count == 0
    assert await pulse.statuses(run.id) == {"0": "completed", "1": "skipped"}


async def test_skip_passes_over_the_next_step(pulse: PulseTest) -> None:
    pulse.condition("is_large", returns=False)
    review = pulse.action("review")
    ship = pulse.action("ship")
    await pulse.define("order.paid", condition("is_large", onFalse="skip"), "review", "ship")

    run = await pulse.emit_and_wait("order.paid")

    assert (review.call_count, ship.call_count) == (0, 1)
    assert await pulse.statuses(run.id) == {
        "0": "completed",
        "1": "skipped",
        "2": "completed",
    }


async def test_a_number_passes_over_that_many_steps(pulse: PulseTest) -> None:
    pulse.condition("is_large", returns=False)
    for name in ("a", "b", "c"):
        pulse.action(name)
    await pulse.define("order.paid", condition("is_large", onFalse=2), "a", "b", "c")

    run = await pulse.emit_and_wait("order.paid")

    assert list((await pulse.statuses(run.id)).values()) == [
        "completed",
        "skipped",
        "skipped",
        "completed",
    ]


@pytest.mark.parametrize("on_false", [3, 1000])
async def test_more_steps_than_there_are_means_all_that_follow(
    pulse: PulseTest, on_false: int
) -> None:
    pulse.condition("is_large", returns=False)
    pulse.action("a")
    pulse.action("b")
    await pulse.define("order.paid", condition("is_large", onFalse=on_false), "a", "b")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert await pulse.statuses(run.id) == {"0": "completed", "1": "skipped", "2": "skipped"}


async def test_a_parallel_block_counts_as_one_step(pulse: PulseTest) -> None:
    """It is skipped whole, with everything in its branches."""
    pulse.condition("is_large", returns=False)
    for name in ("email", "text", "ship"):
        pulse.action(name)
    await pulse.define(
        "order.paid",
        condition("is_large", onFalse="skip"),
        parallel("tell", ["email"], ["text"]),
        "ship",
    )

    run = await pulse.emit_and_wait("order.paid")

    assert await pulse.statuses(run.id) == {
        "0": "completed",
        "1": "skipped",
        "1/b0/0": "skipped",
        "1/b1/0": "skipped",
        "2": "completed",
    }


@pytest.mark.parametrize("fields", [{}, {"onFalse": 9}], ids=["complete", "a number too large"])
async def test_in_a_branch_a_false_condition_ends_that_branch_only(
    pulse: PulseTest, fields: dict[str, object]
) -> None:
    pulse.condition("has_phone", returns=False)
    for name in ("text", "email", "ship"):
        pulse.action(name)
    await pulse.define(
        "order.paid",
        parallel("tell", [condition("has_phone", **fields), "text"], ["email"]),
        "ship",
    )

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert await pulse.statuses(run.id) == {
        "0": "completed",
        "0/b0/0": "completed",
        "0/b0/1": "skipped",
        "0/b1/0": "completed",
        "1": "completed",
    }


async def test_a_skipped_step_names_the_condition_that_skipped_it(pulse: PulseTest) -> None:
    pulse.condition("has_phone", returns=False)
    pulse.action("text")
    pulse.action("email")
    await pulse.define("order.paid", parallel("tell", [condition("has_phone"), "text"], ["email"]))

    run = await pulse.emit_and_wait("order.paid")

    steps = await pulse.steps(run.id)
    assert {path: step.skipped_by for path, step in steps.items()} == {
        "0": None,
        "0/b0/0": None,
        "0/b0/1": "0/b0/0",
        "0/b1/0": None,
    }
    assert "step_skipped text" in await pulse.timeline(run.id)


@pytest.mark.parametrize("answer", [True, False])
async def test_the_answer_is_on_the_step_but_not_in_the_context(
    pulse: PulseTest, answer: bool
) -> None:
    pulse.condition("is_large", returns=answer)
    await pulse.define("order.paid", condition("is_large"))

    run = await pulse.emit_and_wait("order.paid")

    assert (await pulse.steps(run.id))["0"].result == {"value": answer}
    assert run.context == {}


async def test_a_condition_may_look_at_signal_config_and_earlier_results(
    pulse: PulseTest,
) -> None:
    pulse.action("price", returns={"amount": 120})
    is_large = pulse.condition("is_large")
    await pulse.define("order.paid", "price", condition("is_large"), config={"limit": 100})

    await pulse.emit_and_wait("order.paid", {"order": "o-1"})

    (ctx,) = is_large.calls
    assert ctx.trigger.payload == {"order": "o-1"}
    assert ctx.config == {"limit": 100}
    assert ctx.run.context == {"price": {"amount": 120}}


async def test_two_steps_may_ask_the_same_condition(pulse: PulseTest) -> None:
    """``uses`` names the handler when a step needs a name of its own."""
    asked = pulse.condition("is_large", returns=True)
    pulse.action("review")
    await pulse.define(
        "order.paid",
        condition("first look", uses="is_large"),
        action("review it", uses="review"),
        condition("second look", uses="is_large"),
    )

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert [ctx.step.step_name for ctx in asked.calls] == ["first look", "second look"]


async def test_a_condition_that_raises_fails_the_run(pulse: PulseTest) -> None:
    pulse.condition("is_large", fails=1)
    ship = pulse.action("ship")
    await pulse.define("order.paid", condition("is_large"), "ship")

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert ship.call_count == 0
    assert run.error_message == "is_large: RuntimeError: is_large fails as scripted"


async def test_a_condition_may_be_asked_again_after_a_failure(pulse: PulseTest) -> None:
    asked = pulse.condition("is_large", fails=1)
    policy = {"maxAttempts": 2, "backoffMs": 100}
    await pulse.define("order.paid", condition("is_large", retryPolicy=policy))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert asked.call_count == 2


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("fields", [{}, {"timeoutMs": 1_000}], ids=["queued", "local"])
async def test_an_action_may_return_what_looks_like_an_answer(
    pulse: PulseTest, answer: bool, fields: dict[str, object]
) -> None:
    """Only conditions answer: the result of an action decides nothing."""
    pulse.action("check_stock", returns={"value": answer})
    ship = pulse.action("ship")
    await pulse.define("order.paid", action("check_stock", **fields), "ship")

    run = await pulse.emit_and_wait("order.paid")

    assert run.context["check_stock"] == {"value": answer}
    assert await pulse.statuses(run.id) == {"0": "completed", "1": "completed"}
    assert ship.call_count == 1
