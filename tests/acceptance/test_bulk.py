"""Bulk operations: one deed on many runs, each once, in the name of who asked for it."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta

import pytest

from pulse_temporal import (
    Actor,
    BulkFilter,
    BulkOperation,
    BulkOverError,
    Engine,
    IdempotencyConflictError,
    InvalidInputError,
    NotFoundError,
    WorkflowRun,
    acting,
)
from pulse_temporal.clock import utc_now
from pulse_temporal.failpoints import arm, parse
from pulse_temporal.testing import delay
from pulse_temporal.types import BulkKind
from tests.harness import TENANT, PulseTest, eventually

ADA = Actor(id="user:ada@acme.example", name="Ada")
FAST = 1_000
HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def disarmed() -> Generator[None]:
    yield
    arm({})


async def over(engine: Engine, operation: BulkOperation) -> BulkOperation:
    """Wait until an operation is over."""

    async def look() -> BulkOperation | None:
        found = await engine.get_bulk(operation.id)
        return found if found and found.is_over else None

    return await eventually(look)


async def failed_runs(pulse: PulseTest, number: int, *, type_: str = "pay") -> list[WorkflowRun]:
    """Return runs that have failed, and whose action would succeed now."""
    pulse.action(f"do_{type_}", fails=number)
    await pulse.define(type_, f"do_{type_}")
    runs = [await pulse.emit_and_wait(type_) for _ in range(number)]
    assert {run.status for run in runs} == {"failed"}
    return runs


async def waiting_runs(pulse: PulseTest, number: int) -> list[str]:
    """Return the ids of runs that wait for an hour."""
    await pulse.define("late", delay("hour", HOUR_MS))
    ids = [(await pulse.emit("late")).run_ids[0] for _ in range(number)]
    for run_id in ids:
        await pulse.wait_for_status(run_id, "waiting")
    return ids


async def test_all_failed_runs_of_a_definition_are_retried_once(pulse: PulseTest) -> None:
    runs = await failed_runs(pulse, 3)
    (other,) = await failed_runs(pulse, 1, type_="other")

    with acting(ADA):
        started = await pulse.engine.start_bulk(
            "retry",
            filter={"definition_id": runs[0].definition_id},
            tenant_id=TENANT,
            reason="Mail is back",
            name="After the outage",
            rate=FAST,
        )

    assert (started.status, started.reason, started.name) == (
        "collecting",
        "Mail is back",
        "After the outage",
    )
    ended = await over(pulse.engine, started)
    assert (ended.status, ended.items, ended.done, ended.left) == ("completed", 3, 3, 0)
    for run in runs:
        again = await pulse.engine.wait_for_run(run.id)
        assert (again.status, again.generation) == ("completed", 2)
    found = await pulse.engine.get_run(other.id)
    assert found is not None
    assert (found.status, found.generation) == ("failed", 1)
    items = (await pulse.engine.list_bulk_items(started.id)).items
    assert [(item.run_id, item.outcome, item.generation) for item in items] == [
        (run.id, "done", 2) for run in runs
    ]


async def test_the_audit_names_who_started_it_and_why_for_each_run(pulse: PulseTest) -> None:
    (run,) = await failed_runs(pulse, 1)
    with acting(ADA, request_id="req-1"):
        started = await pulse.engine.start_bulk(
            "retry", run_ids=[run.id], tenant_id=TENANT, reason="Fixed"
        )
    await over(pulse.engine, started)

    (retried,) = (await pulse.engine.list_audit(subject_id=run.id)).items
    assert (retried.action, retried.actor, retried.reason) == ("run.retry", ADA, "Fixed")
    assert retried.detail == {"generation": 2, "bulk": started.id}
    assert retried.request_id == "req-1"
    (asked,) = (await pulse.engine.list_audit(subject_id=started.id)).items
    assert (asked.action, asked.actor, asked.reason) == ("bulk.start", ADA, "Fixed")
    assert asked.detail == {"kind": "retry", "runs": 1}
    timeline = await pulse.engine.get_run_timeline(run.id)
    assert "Ada" in [entry.detail.get("by") for entry in timeline]


async def test_waiting_runs_are_canceled(pulse: PulseTest) -> None:
    ids = await waiting_runs(pulse, 2)

    started = await pulse.engine.start_bulk(
        "cancel", filter=BulkFilter(status="waiting"), tenant_id=TENANT, reason="Not needed"
    )

    assert (await over(pulse.engine, started)).done == 2
    for run_id in ids:
        run = await pulse.engine.wait_for_run(run_id)
        assert (run.status, run.cancel_reason) == ("canceled", "Not needed")


async def test_a_replay_runs_each_signal_once(pulse: PulseTest) -> None:
    """Two of the runs are of one signal."""
    pulse.action("work")
    await pulse.define("t", "work")
    await pulse.define("t", "work")
    trigger = await pulse.emit("t")
    for run_id in trigger.run_ids:
        await pulse.engine.wait_for_run(run_id)

    started = await pulse.engine.start_bulk(
        "replay", filter={}, tenant_id=TENANT, rate=FAST, reason="Again"
    )

    ended = await over(pulse.engine, started)
    assert (ended.done, ended.skipped) == (1, 1)
    first, second = (await pulse.engine.list_bulk_items(started.id)).items
    assert (second.code, second.run_ids) == ("replayed_already", ())
    replays = [await pulse.engine.wait_for_run(run_id) for run_id in first.run_ids]
    assert [run.is_replay for run in replays] == [True, True]
    assert len((await pulse.engine.list_runs()).items) == 4
    (told,) = (await pulse.engine.list_audit(action="signal.replay")).items
    assert (told.reason, told.detail["bulk"]) == ("Again", started.id)


async def test_what_cannot_be_done_is_told_run_by_run(pulse: PulseTest) -> None:
    (failed,) = await failed_runs(pulse, 1)
    (waiting,) = await waiting_runs(pulse, 1)
    nobody = f"run_{'0' * 32}"

    started = await pulse.engine.start_bulk(
        "retry", run_ids=[waiting, failed.id, nobody, waiting], tenant_id=TENANT
    )

    ended = await over(pulse.engine, started)
    assert (ended.items, ended.done, ended.failed, ended.skipped) == (3, 1, 1, 1)
    told = {item.run_id: item for item in (await pulse.engine.list_bulk_items(started.id)).items}
    assert (told[waiting].outcome, told[waiting].code) == ("skipped", "run_transition")
    assert "only failed runs can" in (told[waiting].error or "")
    assert (told[nobody].outcome, told[nobody].code) == ("failed", "not_found")
    only = (await pulse.engine.list_bulk_items(started.id, outcome="failed")).items
    assert [item.run_id for item in only] == [nobody]


async def test_the_failed_ones_are_repeated(pulse: PulseTest) -> None:
    (run,) = await failed_runs(pulse, 1)
    nobody = f"run_{'0' * 32}"
    first = await pulse.engine.start_bulk(
        "retry", run_ids=[run.id, nobody], tenant_id=TENANT, reason="Why", rate=0.5
    )
    with pytest.raises(InvalidInputError, match="wait for its end"):
        await pulse.engine.repeat_bulk(first.id)
    await over(pulse.engine, first)

    second = await pulse.engine.repeat_bulk(first.id)

    assert (second.repeats, second.items, second.reason) == (first.id, 1, "Why")
    assert (await over(pulse.engine, second)).failed == 1
    (item,) = (await pulse.engine.list_bulk_items(second.id)).items
    assert item.run_id == nobody


async def test_nothing_has_failed_so_nothing_is_repeated(pulse: PulseTest) -> None:
    started = await pulse.engine.start_bulk("retry", filter={}, tenant_id=TENANT)
    ended = await over(pulse.engine, started)
    assert (ended.status, ended.items) == ("completed", 0)
    with pytest.raises(InvalidInputError, match="No item"):
        await pulse.engine.repeat_bulk(started.id)


async def test_runs_created_later_are_not_meant(idle_pulse: PulseTest) -> None:
    """The filter is frozen when the operation starts, not when workers come to it."""
    pulse = idle_pulse
    await pulse.define("late", delay("hour", HOUR_MS))
    (early,) = (await pulse.emit("late")).run_ids
    started = await pulse.engine.start_bulk("cancel", filter={}, tenant_id=TENANT)
    (later,) = (await pulse.emit("late")).run_ids

    async with pulse.engine:
        assert (await over(pulse.engine, started)).items == 1
        assert (await pulse.engine.wait_for_run(early)).status == "canceled"
        await pulse.wait_for_status(later, "waiting")
        await pulse.engine.cancel_run(later)


async def test_an_abort_leaves_the_others_alone(pulse: PulseTest) -> None:
    """At this rate the second run would have its turn in a hundred seconds."""
    ids = await waiting_runs(pulse, 3)
    started = await pulse.engine.start_bulk("cancel", run_ids=ids, tenant_id=TENANT, rate=0.01)

    async def one_is_done() -> bool:
        found = await pulse.engine.get_bulk(started.id)
        return found is not None and found.done == 1

    await eventually(one_is_done)
    with acting(ADA):
        aborted = await pulse.engine.abort_bulk(started.id, reason="A mistake")

    assert (aborted.status, aborted.done, aborted.left) == ("aborted", 1, 2)
    assert aborted.ended_at is not None
    assert await pulse.engine.abort_bulk(started.id) == aborted
    (told,) = (await pulse.engine.list_audit(action="bulk.abort")).items
    assert (told.actor, told.reason, told.detail) == (ADA, "A mistake", {"left": 2})
    statuses = sorted([run.status for run in (await pulse.engine.list_runs()).items])
    assert statuses == ["canceled", "waiting", "waiting"]
    left = (await pulse.engine.list_bulk_items(started.id, outcome="pending")).items
    assert len(left) == 2


async def test_a_completed_operation_cannot_be_aborted(pulse: PulseTest) -> None:
    started = await pulse.engine.start_bulk("replay", filter={}, tenant_id=TENANT)
    await over(pulse.engine, started)
    with pytest.raises(BulkOverError, match="completed"):
        await pulse.engine.abort_bulk(started.id)


async def test_a_failure_between_effect_and_record_leaves_neither(pulse: PulseTest) -> None:
    (run,) = await failed_runs(pulse, 1)
    arm(parse("bulk.before_commit=raise:once"))

    started = await pulse.engine.start_bulk("retry", run_ids=[run.id], tenant_id=TENANT)

    assert (await over(pulse.engine, started)).done == 1
    again = await pulse.engine.wait_for_run(run.id)
    assert again.generation == 2
    retries = (await pulse.engine.list_audit(action="run.retry")).items
    assert len(retries) == 1


async def test_a_group_of_failures_is_a_filter(pulse: PulseTest) -> None:
    """The runs that failed at the same step with the same error, and no others."""
    runs = await failed_runs(pulse, 2)
    await failed_runs(pulse, 1, type_="other")
    (group,) = [
        each
        for each in await pulse.engine.list_failures(tenant_id=TENANT)
        if each.step_name == "do_pay"
    ]
    chosen = BulkFilter(
        tenant_id=TENANT,
        definition_id=group.definition_id,
        failed_step=group.step_name,
        error=group.error,
    )

    preview = await pulse.engine.preview_bulk("retry", filter=chosen)
    started = await pulse.engine.start_bulk("retry", filter=chosen)

    assert preview.eligible.count == 2
    assert preview.not_eligible == {}
    assert (await over(pulse.engine, started)).done == 2
    items = (await pulse.engine.list_bulk_items(started.id)).items
    assert [item.run_id for item in items] == [run.id for run in runs]
    none = chosen.model_copy(update={"error": "another"})
    assert (await pulse.engine.preview_bulk("retry", filter=none)).eligible.count == 0


async def test_what_has_failed_as_a_run_has_is_a_filter(pulse: PulseTest) -> None:
    """It is fixed when the operation starts, and its key stands for it when the run goes on."""
    runs = await failed_runs(pulse, 2)
    (other,) = await failed_runs(pulse, 1, type_="other")
    wanted = {"failed_as": runs[0].id}

    preview = await pulse.engine.preview_bulk("retry", filter=wanted, tenant_id=TENANT)
    started = await pulse.engine.start_bulk(
        "retry", filter=wanted, tenant_id=TENANT, idempotency_key="k"
    )

    assert preview.eligible.count == 2
    assert started.filter is not None
    assert started.filter["failedStep"] == "do_pay"
    assert started.filter["definitionId"] == runs[0].definition_id
    assert (await over(pulse.engine, started)).done == 2
    for run in runs:
        await pulse.engine.wait_for_run(run.id)
    again = await pulse.engine.start_bulk(
        "retry", filter=wanted, tenant_id=TENANT, idempotency_key="k"
    )
    assert again.id == started.id
    for run_id, tenant_id in ((runs[0].id, TENANT), (other.id, "globex"), ("run_1", TENANT)):
        with pytest.raises(InvalidInputError, match=f"there is no failed run '{run_id}'"):
            await pulse.engine.preview_bulk(
                "retry", filter={"failed_as": run_id}, tenant_id=tenant_id
            )


async def test_a_preview_counts_and_changes_nothing(pulse: PulseTest) -> None:
    runs = await failed_runs(pulse, 6)
    (waiting,) = await waiting_runs(pulse, 1)

    seen = await pulse.engine.preview_bulk("retry", filter={}, tenant_id=TENANT)
    named = await pulse.engine.preview_bulk(
        "retry", run_ids=[runs[0].id, waiting, f"run_{'0' * 32}"], tenant_id=TENANT
    )

    assert (seen.eligible.count, seen.eligible.is_bounded) == (6, False)
    assert {status: count.count for status, count in seen.not_eligible.items()} == {"waiting": 1}
    newest = [run.id for run in reversed(runs)][:5]
    assert [run.id for run in seen.samples] == newest
    assert named.eligible.count == 1
    assert {status: count.count for status, count in named.not_eligible.items()} == {
        "waiting": 1,
        "unknown": 1,
    }
    assert not (await pulse.engine.list_bulk()).items
    assert {run.generation for run in (await pulse.engine.list_runs()).items} == {1}


async def test_the_same_key_starts_one_operation(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    first = await engine.start_bulk(
        "cancel", filter={}, tenant_id=TENANT, reason="Why", idempotency_key="k"
    )
    again = await engine.start_bulk(
        "cancel", filter={}, tenant_id=TENANT, reason="Why", idempotency_key="k"
    )
    assert again.id == first.id
    with pytest.raises(IdempotencyConflictError, match=first.id):
        await engine.start_bulk("replay", filter={}, tenant_id=TENANT, idempotency_key="k")
    other = await engine.start_bulk("replay", filter={}, tenant_id="globex", idempotency_key="k")
    assert other.id != first.id
    assert len((await engine.list_bulk()).items) == 2
    assert [each.id for each in (await engine.list_bulk(tenant_id=TENANT)).items] == [first.id]


async def test_another_tenants_runs_are_not_touched(pulse: PulseTest) -> None:
    """Their ids are like those of no run; their operations are unknown."""
    await pulse.define("late", delay("hour", HOUR_MS), tenant_id="globex")
    (theirs,) = (await pulse.emit("late", tenant_id="globex")).run_ids
    await pulse.wait_for_status(theirs, "waiting")
    acme = pulse.engine.for_tenant("acme")

    named = await acme.start_bulk("cancel", run_ids=[theirs])
    every = await acme.start_bulk("cancel", filter={})
    seen = await acme.preview_bulk("cancel", run_ids=[theirs])

    assert (await over(pulse.engine, every)).items == 0
    await over(pulse.engine, named)
    (item,) = (await acme.list_bulk_items(named.id)).items
    assert (item.outcome, item.code) == ("failed", "not_found")
    assert item.error == f"There is no run {theirs}."
    assert seen.not_eligible.keys() == {"unknown"}
    globex = pulse.engine.for_tenant("globex")
    assert await globex.get_bulk(named.id) is None
    for call in (globex.abort_bulk, globex.repeat_bulk, globex.list_bulk_items):
        with pytest.raises(NotFoundError, match="There is no bulk operation"):
            await call(named.id)
    with pytest.raises(InvalidInputError, match="not for 'globex'"):
        await acme.start_bulk("cancel", filter={"tenant_id": "globex"})
    run = await pulse.engine.get_run(theirs)
    assert run is not None
    assert run.status == "waiting"


async def test_a_slow_operation_holds_up_nobody_elses(pulse: PulseTest) -> None:
    """One of the other tenant goes on while the first waits for its rate, and the other way."""
    await pulse.define("late", delay("hour", HOUR_MS), tenant_id="globex")
    mine = await waiting_runs(pulse, 3)
    slow = await pulse.engine.start_bulk("cancel", run_ids=mine, tenant_id=TENANT, rate=0.01)
    (theirs,) = (await pulse.emit("late", tenant_id="globex")).run_ids

    quick = await pulse.engine.start_bulk("cancel", run_ids=[theirs], tenant_id="globex")

    assert (await over(pulse.engine, quick)).done == 1
    found = await pulse.engine.get_bulk(slow.id)
    assert found is not None
    assert found.status == "running"
    await pulse.engine.abort_bulk(slow.id)


async def test_it_works_while_threads_wait(pulse: PulseTest) -> None:
    """The blocking twin has the same methods."""
    assert not (await pulse.engine.list_bulk()).items
    for name in ("start_bulk", "preview_bulk", "get_bulk", "list_bulk", "abort_bulk"):
        assert callable(getattr(pulse.engine.blocking, name))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "either a filter or run_ids"),
        ({"filter": {}, "run_ids": ["run_1"]}, "either a filter or run_ids"),
        ({"run_ids": []}, "1 to 10,000 ids, not 0"),
        ({"run_ids": ["a b"]}, "'a b' is no id of a run"),
        ({"filter": {"color": "red"}}, "color"),
        ({"filter": {"status": "completed"}}, "Only failed runs can be retried"),
        ({"filter": {"attention": "late"}}, "Only failed runs can be retried"),
        ({"filter": {}, "rate": 0}, "rate must be 0.01 to 1,000"),
        ({"filter": {}, "rate": True}, "rate must be 0.01 to 1,000"),
        ({"filter": {}, "name": "a\nb"}, "name: "),
        ({"filter": {}, "idempotency_key": ""}, "idempotency_key: "),
        ({"filter": {"tenant_id": "other"}}, "the filter's is 'other'"),
        ({"filter": {}, "tenant_id": None}, "give a tenant_id"),
    ],
)
async def test_what_is_wrong_is_told(
    idle_pulse: PulseTest, arguments: dict[str, object], told: str
) -> None:
    start = idle_pulse.engine.start_bulk
    given: dict[str, object] = {"tenant_id": TENANT, **arguments}
    with pytest.raises(InvalidInputError, match=told):
        await start("retry", **given)  # pyright: ignore[reportArgumentType] - mistakes
    assert not (await idle_pulse.engine.list_bulk()).items


async def test_a_kind_that_there_is_not_is_refused(idle_pulse: PulseTest) -> None:
    kind: BulkKind = "delete"  # pyright: ignore[reportAssignmentType] - a mistake
    with pytest.raises(InvalidInputError, match="kind must be retry, cancel, replay"):
        await idle_pulse.engine.start_bulk(kind, filter={}, tenant_id=TENANT)


async def test_a_filter_by_time_leaves_older_runs_alone(pulse: PulseTest) -> None:
    await failed_runs(pulse, 1)
    later = utc_now() + timedelta(minutes=1)
    seen = await pulse.engine.preview_bulk(
        "retry", filter={"created_after": later}, tenant_id=TENANT
    )
    assert seen.eligible.count == 0
