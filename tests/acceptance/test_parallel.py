"""A parallel step runs its branches side by side and waits for all of them."""

from __future__ import annotations

from pulse_temporal import ActionResult, WorkflowContext
from pulse_temporal.testing import action, condition, delay, parallel
from tests.harness import PulseTest


async def test_branches_run_at_the_same_time(pulse: PulseTest) -> None:
    """Each branch is seen at work while the other one is."""
    email = pulse.gate("email")
    text = pulse.gate("text")
    await pulse.define("order.paid", parallel("tell", ["email"], ["text"]))
    trigger = await pulse.emit("order.paid")

    await email.reached()
    await text.reached()
    email.open()
    text.open()

    run = await pulse.engine.wait_for_run(trigger.run_ids[0])
    assert run.status == "completed"


async def test_the_next_step_starts_when_all_branches_have_ended(pulse: PulseTest) -> None:
    slow = pulse.gate("slow")
    quick = pulse.action("quick")
    after = pulse.action("after")
    await pulse.define("order.paid", parallel("both", ["slow"], ["quick"]), "after")
    trigger = await pulse.emit("order.paid")
    await slow.reached()

    assert after.call_count == 0
    slow.open()
    run = await pulse.engine.wait_for_run(trigger.run_ids[0])

    assert run.status == "completed"
    assert (quick.call_count, after.call_count) == (1, 1)
    lines = await pulse.timeline(run.id)
    assert lines[-4:] == [
        "step_completed both",
        "step_started after",
        "step_completed after",
        "run_completed",
    ]


async def test_a_failing_branch_lets_the_others_finish_then_fails_the_run(
    pulse: PulseTest,
) -> None:
    failed = pulse.action("failed", fails=1)
    slow = pulse.gate("slow")
    after = pulse.action("after")
    await pulse.define("order.paid", parallel("both", ["failed"], ["slow"]), "after")
    trigger = await pulse.emit("order.paid")
    await slow.reached()
    slow.open()

    run = await pulse.engine.wait_for_run(trigger.run_ids[0])

    assert run.status == "failed"
    assert (failed.call_count, after.call_count) == (1, 0)
    assert await pulse.statuses(run.id) == {
        "0": "failed",
        "0/b0/0": "failed",
        "0/b1/0": "completed",
        "1": "pending",
    }


async def test_the_errors_of_all_branches_are_told_by_branch(pulse: PulseTest) -> None:
    pulse.action("first", fails=1)
    pulse.action("second")
    pulse.action("third", fails=1)
    await pulse.define("order.paid", parallel("all", ["first"], ["second"], ["third"]))

    run = await pulse.emit_and_wait("order.paid")

    error = (
        "branch 0: first: RuntimeError: first fails as scripted; "
        "branch 2: third: RuntimeError: third fails as scripted"
    )
    assert (await pulse.steps(run.id))["0"].error_message == error
    assert run.error_message == f"all: {error}"


async def test_a_failed_step_leaves_the_rest_of_its_branch_undone(pulse: PulseTest) -> None:
    pulse.action("first", fails=1)
    second = pulse.action("second")
    pulse.action("other")
    await pulse.define("order.paid", parallel("both", ["first", "second"], ["other"]))

    run = await pulse.emit_and_wait("order.paid")

    assert second.call_count == 0
    assert (await pulse.statuses(run.id))["0/b0/1"] == "pending"


async def test_a_branch_sees_what_was_before_the_block_and_its_own_results(
    pulse: PulseTest,
) -> None:
    """Never what a sibling branch has done, whichever is quicker."""
    pulse.action("before", returns={"n": 0})
    pulse.action("left", returns={"n": 1})
    left_end = pulse.action("left_end")
    pulse.action("right", returns={"n": 2})
    right_end = pulse.action("right_end")
    await pulse.define(
        "order.paid", "before", parallel("both", ["left", "left_end"], ["right", "right_end"])
    )

    await pulse.emit_and_wait("order.paid")

    assert left_end.calls[0].run.context == {"before": {"n": 0}, "left": {"n": 1}}
    assert right_end.calls[0].run.context == {"before": {"n": 0}, "right": {"n": 2}}


async def test_waiting_does_not_show_a_branch_what_its_siblings_did(pulse: PulseTest) -> None:
    """While all branches wait, the run's own context takes in what all of them have done."""
    pulse.action("left", returns={"n": 1})
    right_end = pulse.action("right_end")
    await pulse.define(
        "order.paid",
        parallel("both", ["left", delay("long", 1_100)], [delay("short", 1_000), "right_end"]),
    )
    trigger = await pulse.emit("order.paid")
    waiting = await pulse.wait_for_status(trigger.run_ids[0], "waiting")
    assert waiting.context == {"left": {"n": 1}}

    await pulse.engine.wait_for_run(waiting.id)

    assert right_end.calls[0].run.context == {}


async def test_a_retried_branch_does_not_see_what_its_siblings_did(pulse: PulseTest) -> None:
    """Not even though they had ended, and the run with them, before it goes on."""
    pulse.action("left", returns={"n": 1})
    right = pulse.action("right", fails=1)
    await pulse.define("order.paid", parallel("both", ["left"], ["right"]))
    failed = await pulse.emit_and_wait("order.paid")
    assert failed.context == {"left": {"n": 1}}

    await pulse.engine.retry_run(failed.id)
    await pulse.engine.wait_for_run(failed.id)

    assert [ctx.run.context for ctx in right.calls] == [{}, {}]


async def test_results_of_all_branches_join_the_context_after_the_block(
    pulse: PulseTest,
) -> None:
    pulse.action("left", returns={"n": 1})
    pulse.action("right", returns={"n": 2})
    after = pulse.action("after")
    await pulse.define("order.paid", parallel("both", ["left"], ["right"]), "after")

    run = await pulse.emit_and_wait("order.paid")

    joined = {"left": {"n": 1}, "right": {"n": 2}}
    assert after.calls[0].run.context == joined
    assert run.context == joined


async def test_blocks_may_stand_inside_branches(pulse: PulseTest) -> None:
    pulse.action("a", returns={"n": 1})
    pulse.action("b", returns={"n": 2})
    pulse.action("c", returns={"n": 3})
    inner_end = pulse.action("inner_end")
    await pulse.define(
        "order.paid",
        parallel("outer", [parallel("inner", ["a"], ["b"]), "inner_end"], ["c"]),
    )

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert run.context == {"a": {"n": 1}, "b": {"n": 2}, "c": {"n": 3}}
    assert inner_end.calls[0].run.context == {"a": {"n": 1}, "b": {"n": 2}}
    assert set(await pulse.statuses(run.id)) == {
        "0",
        "0/b0/0",
        "0/b0/0/b0/0",
        "0/b0/0/b1/0",
        "0/b0/1",
        "0/b1/0",
    }


async def test_a_failure_in_an_inner_block_names_the_way_to_it(pulse: PulseTest) -> None:
    pulse.action("a")
    pulse.action("b", fails=1)
    pulse.action("c")
    await pulse.define("order.paid", parallel("outer", ["c"], [parallel("inner", ["a"], ["b"])]))

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "failed"
    assert run.error_message == (
        "outer: branch 1: inner: branch 1: b: RuntimeError: b fails as scripted"
    )


async def test_branches_may_hold_any_kind_of_step(pulse: PulseTest) -> None:
    pulse.condition("is_large", returns=False)
    for name in ("review", "ship", "tell"):
        pulse.action(name)
    await pulse.define(
        "order.paid",
        parallel(
            "both",
            [condition("is_large", onFalse="skip"), "review", "ship"],
            [delay("cool down", 100), "tell"],
        ),
    )

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert list((await pulse.statuses(run.id)).values()) == [
        "completed",
        "completed",
        "skipped",
        "completed",
        "completed",
        "completed",
    ]


async def test_a_step_in_a_branch_is_retried_like_any_other(pulse: PulseTest) -> None:
    shaky = pulse.action("shaky", fails=1)
    pulse.action("steady")
    policy = {"maxAttempts": 2, "backoffMs": 100}
    await pulse.define(
        "order.paid", parallel("both", [action("shaky", retryPolicy=policy)], ["steady"])
    )

    run = await pulse.emit_and_wait("order.paid")

    assert run.status == "completed"
    assert shaky.call_count == 2


async def test_step_runs_say_where_in_the_tree_they_are(pulse: PulseTest) -> None:
    pulse.action("left")
    pulse.action("right")
    pulse.action("right_end")
    await pulse.define("order.paid", parallel("both", ["left"], ["right", "right_end"]))

    run = await pulse.emit_and_wait("order.paid")

    steps = await pulse.engine.get_run_steps(run.id)
    assert [(step.path, step.branch_index, step.step_index) for step in steps] == [
        ("0", None, 0),
        ("0/b0/0", 0, 0),
        ("0/b1/0", 1, 0),
        ("0/b1/1", 1, 1),
    ]
    block, *inner = steps
    assert block.parent_step_run_id is None
    assert {step.parent_step_run_id for step in inner} == {block.id}


async def test_many_branches_keep_their_order(pulse: PulseTest) -> None:
    """Eleven branches: as text, branch 10 would come before branch 2."""

    @pulse.engine.action("number")
    async def number(ctx: WorkflowContext) -> ActionResult:
        return ActionResult(data={"branch": ctx.step.branch_index})

    branches = [[action(f"n{index}", uses="number")] for index in range(11)]
    await pulse.define("order.paid", parallel("all", *branches))

    run = await pulse.emit_and_wait("order.paid")

    steps = await pulse.engine.get_run_steps(run.id)
    assert [step.step_name for step in steps] == ["all", *(f"n{index}" for index in range(11))]
    assert run.context == {f"n{index}": {"branch": index} for index in range(11)}
