"""Questions about signals and runs: single ones, lists with filters, pages, and waiting."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pulse_temporal import (
    InvalidInputError,
    NotFoundError,
    PostgresUnavailableError,
    RunFilter,
    WorkflowRun,
)
from pulse_temporal.services.runs.history import History
from pulse_temporal.testing import delay, parallel
from tests.harness import SOURCE, TENANT, PulseTest

SIGNAL = {"tenantId": TENANT, "source": SOURCE, "type": "order.paid"}


async def test_what_is_got_by_an_unknown_id_is_none(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine

    assert await engine.get_run("run_nobody") is None
    assert await engine.get_trigger("trg_nobody") is None
    assert await engine.get_workflow("wfd_nobody") is None
    assert (await engine.get_runs_by_trigger("trg_nobody")).items == ()


OF_A_RUN = ("get_run_steps", "get_step_attempts", "get_run_timeline", "get_run_logs")


@pytest.mark.parametrize("name", OF_A_RUN)
async def test_what_belongs_to_an_unknown_run_is_an_error(
    idle_pulse: PulseTest, name: str
) -> None:
    """It must not look like a run on which nothing has happened yet."""
    await idle_pulse.define("order.paid")
    (run_id,) = (await idle_pulse.emit("order.paid")).run_ids
    ask = getattr(idle_pulse.engine, name)

    await ask(run_id, tenant_id=TENANT)
    with pytest.raises(NotFoundError, match="There is no run 'run_nobody'"):
        await ask("run_nobody")
    with pytest.raises(NotFoundError, match=run_id):
        await ask(run_id, tenant_id="another")
    with pytest.raises(NotFoundError, match=run_id):
        await getattr(idle_pulse.engine.for_tenant("another"), name)(run_id)


@pytest.mark.parametrize("run_id", ["run_\0", "run_\ud800"], ids=["NUL", "surrogate"])
async def test_an_id_that_cannot_be_stored_is_refused(idle_pulse: PulseTest, run_id: str) -> None:
    engine = idle_pulse.engine

    with pytest.raises(InvalidInputError):
        await engine.get_run(run_id)
    with pytest.raises(InvalidInputError):
        await engine.get_trigger(run_id)
    with pytest.raises(InvalidInputError):
        await engine.list_runs(RunFilter(definition_id=run_id))
    with pytest.raises(InvalidInputError):
        await engine.cancel_run(run_id)


async def test_waiting_for_an_id_that_cannot_exist_hurts_no_other_waiter(
    pulse: PulseTest,
) -> None:
    """One query serves all who wait."""
    gate = pulse.gate("pay")
    await pulse.define("order.paid", "pay")
    trigger = await pulse.emit("order.paid")
    waiter = asyncio.ensure_future(pulse.engine.wait_for_run(trigger.run_ids[0]))
    await gate.reached()

    with pytest.raises(NotFoundError):
        await pulse.engine.wait_for_run("run_\0", timeout=5)
    gate.open()

    assert (await waiter).status == "completed"


async def test_a_signal_leads_to_its_runs_in_the_age_of_their_definitions(
    pulse: PulseTest,
) -> None:
    for number in range(10):
        await pulse.define("order.paid", name=f"Definition {number}")
    trigger = await pulse.emit("order.paid")
    await pulse.emit("order.paid")

    for run_id in trigger.run_ids:  # afterwards nothing about them changes
        await pulse.engine.wait_for_run(run_id)
    runs = (await pulse.engine.get_runs_by_trigger(trigger.id)).items
    first = await pulse.engine.get_runs_by_trigger(trigger.id, limit=7)
    rest = await pulse.engine.get_runs_by_trigger(trigger.id, limit=7, cursor=first.next_cursor)

    assert [run.id for run in runs] == [*reversed(trigger.run_ids)]
    assert (*first.items, *rest.items) == runs
    assert rest.next_cursor is None
    assert {run.trigger_id for run in runs} == {trigger.id}


async def test_a_stored_signal_is_what_was_emitted(idle_pulse: PulseTest) -> None:
    await idle_pulse.define("order.paid")
    payload = {"order": 1, "tags": ["a", None, 1.5, True, {"ü": "☃"}]}

    emitted = await idle_pulse.emit(
        "order.paid",
        payload,
        environment="production",
        resourceType="order",
        resourceId="o-1",
        idempotencyKey="k",
    )

    stored = await idle_pulse.engine.get_trigger(emitted.id)
    assert stored is not None
    assert stored == emitted
    assert stored.payload == payload


async def all_pages(pulse: PulseTest, wanted: RunFilter, *, limit: int) -> list[list[WorkflowRun]]:
    """Read a list of runs page by page."""
    pages: list[list[WorkflowRun]] = []
    cursor = None
    while True:
        page = await pulse.engine.list_runs(wanted, limit=limit, cursor=cursor)
        pages.append(list(page.items))
        cursor = page.next_cursor
        if cursor is None:
            return pages


async def test_pages_give_every_run_once_newest_first(idle_pulse: PulseTest) -> None:
    await idle_pulse.define("order.paid")
    run_ids = [(await idle_pulse.emit("order.paid")).run_ids[0] for _ in range(7)]

    pages = await all_pages(idle_pulse, RunFilter(tenant_id=TENANT), limit=3)

    assert [len(page) for page in pages] == [3, 3, 1]
    found = [run for page in pages for run in page]
    assert [run.id for run in found] == run_ids[::-1]


async def test_the_last_page_may_be_a_full_one(idle_pulse: PulseTest) -> None:
    await idle_pulse.define("order.paid")
    for _ in range(4):
        await idle_pulse.emit("order.paid")

    pages = await all_pages(idle_pulse, RunFilter(), limit=2)

    assert [len(page) for page in pages] == [2, 2]


async def test_runs_that_begin_while_pages_are_read_move_nothing(idle_pulse: PulseTest) -> None:
    await idle_pulse.define("order.paid")
    for _ in range(4):
        await idle_pulse.emit("order.paid")
    engine = idle_pulse.engine

    first = await engine.list_runs(limit=2)
    await idle_pulse.emit("order.paid")
    second = await engine.list_runs(limit=2, cursor=first.next_cursor)

    assert second.next_cursor is None
    assert len({run.id for run in (*first.items, *second.items)}) == 4


async def test_runs_of_one_moment_are_on_one_page_each(idle_pulse: PulseTest) -> None:
    """What one transaction emits has one moment of creation; then the ids decide."""
    await idle_pulse.define("order.paid")
    engine = idle_pulse.engine
    async with engine.transaction() as connection:
        emitted = [await engine.emit(SIGNAL, connection=connection) for _ in range(5)]

    pages = await all_pages(idle_pulse, RunFilter(tenant_id=TENANT), limit=2)

    assert [len(page) for page in pages] == [2, 2, 1]
    found = [run.id for page in pages for run in page]
    assert found == [trigger.run_ids[0] for trigger in emitted][::-1]


async def test_pages_and_filters_go_together(idle_pulse: PulseTest) -> None:
    wanted = await idle_pulse.define("order.paid", name="Wanted")
    await idle_pulse.define("order.paid", name="Other")
    for _ in range(3):
        await idle_pulse.emit("order.paid")

    pages = await all_pages(idle_pulse, RunFilter(definition_id=wanted.id), limit=2)

    assert [len(page) for page in pages] == [2, 1]
    assert {run.definition_id for page in pages for run in page} == {wanted.id}


async def test_failed_runs_can_be_retried_while_their_pages_are_read(pulse: PulseTest) -> None:
    """Each once, also those that fail again; a run that leaves the list moves no page."""
    pulse.action("fails", fails=99)
    await pulse.define("order.paid", "fails")
    runs = [await pulse.emit_and_wait("order.paid") for _ in range(5)]
    engine = pulse.engine
    wanted = RunFilter(tenant_id=TENANT, status="failed")

    page = await engine.list_runs(wanted, limit=2)
    retried = [await engine.retry_run(run.id) for run in page.items]
    while page.next_cursor is not None:
        for run in retried:
            await engine.wait_for_run(run.id)
        page = await engine.list_runs(wanted, limit=2, cursor=page.next_cursor)
        retried += [await engine.retry_run(run.id) for run in page.items]

    assert [run.id for run in retried] == [run.id for run in reversed(runs)]
    assert {run.generation for run in retried} == {2}


async def test_runs_can_be_listed_by_status(pulse: PulseTest) -> None:
    pulse.action("fails", fails=9)
    await pulse.define("bad", "fails")
    await pulse.define("good")
    bad = await pulse.emit_and_wait("bad")
    good = await pulse.emit_and_wait("good")
    engine = pulse.engine

    failed = await engine.list_runs(RunFilter(status="failed"))
    both = await engine.list_runs(RunFilter(status=["failed", "completed"]))
    none = await engine.list_runs(RunFilter(status="waiting"))

    assert [run.id for run in failed.items] == [bad.id]
    assert {run.id for run in both.items} == {bad.id, good.id}
    assert none.items == ()


async def test_runs_can_be_listed_by_signal_and_by_resource(idle_pulse: PulseTest) -> None:
    await idle_pulse.define("order.paid")
    mine = await idle_pulse.emit("order.paid", resourceId="o-1")
    await idle_pulse.emit("order.paid", resourceId="o-2")
    await idle_pulse.emit("order.paid")
    engine = idle_pulse.engine

    by_signal = await engine.list_runs(RunFilter(trigger_id=mine.id))
    by_resource = await engine.list_runs(RunFilter(resource_id="o-1"))

    assert [run.id for run in by_signal.items] == list(mine.run_ids)
    assert by_resource.items == by_signal.items


async def test_a_replay_of_an_old_signal_is_the_newest_run_of_its_resource(
    pulse: PulseTest,
) -> None:
    """The runs decide, not the age of the signals."""
    await pulse.define("order.paid")
    for _ in range(3):
        await pulse.emit("order.paid", resourceId="o-1")
    oldest = (await pulse.engine.list_runs()).items[-1]
    (replayed,) = await pulse.engine.replay(oldest.trigger_id)

    pages = await all_pages(pulse, RunFilter(tenant_id=TENANT, resource_id="o-1"), limit=3)

    assert [len(page) for page in pages] == [3, 1]
    found = [run.id for page in pages for run in page]
    assert (found[0], found[-1]) == (replayed.id, oldest.id)


async def test_runs_can_be_listed_by_the_moment_they_were_created(
    idle_pulse: PulseTest,
) -> None:
    """The earliest moment is included, the latest is not."""
    await idle_pulse.define("order.paid")
    for _ in range(3):
        await idle_pulse.emit("order.paid")
    engine = idle_pulse.engine
    newest, middle, oldest = (await engine.list_runs()).items

    since = await engine.list_runs(RunFilter(created_after=middle.created_at))
    until = await engine.list_runs(RunFilter(created_before=middle.created_at))
    none = await engine.list_runs(
        RunFilter(created_after=newest.created_at + timedelta(microseconds=1))
    )

    assert [run.id for run in since.items] == [newest.id, middle.id]
    assert [run.id for run in until.items] == [oldest.id]
    assert none.items == ()


@pytest.mark.parametrize("limit", [0, -1, 501])
async def test_a_page_has_1_to_500_rows(idle_pulse: PulseTest, limit: int) -> None:
    with pytest.raises(InvalidInputError, match="1 to 500"):
        await idle_pulse.engine.list_runs(limit=limit)


async def test_a_cursor_that_is_none_is_refused(idle_pulse: PulseTest) -> None:
    with pytest.raises(InvalidInputError, match="not a cursor"):
        await idle_pulse.engine.list_runs(cursor="no cursor")


async def test_waiting_gives_the_run_when_it_is_over(pulse: PulseTest) -> None:
    pulse.action("pay", returns={"n": 1})
    await pulse.define("order.paid", "pay")
    trigger = await pulse.emit("order.paid")

    run = await pulse.engine.wait_for_run(trigger.run_ids[0], timeout=30)

    assert run == await pulse.engine.get_run(run.id)
    assert run.status == "completed"


async def test_waiting_outlives_an_answer_that_does_not_come(
    pulse: PulseTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage ends a wait at its time, not before."""
    await pulse.define("order.paid")
    (run_id,) = (await pulse.emit("order.paid")).run_ids
    read, failures = History.get_run, [PostgresUnavailableError("Postgres does not answer")]

    async def fail_first(
        history: History, run_id: str, *, tenant_id: str | None
    ) -> WorkflowRun | None:
        if failures:
            raise failures.pop()
        return await read(history, run_id, tenant_id=tenant_id)

    monkeypatch.setattr(History, "get_run", fail_first)
    run = await pulse.engine.wait_for_run(run_id, timeout=30)

    assert run.status == "completed"
    assert not failures


async def test_waiting_for_a_run_that_is_over_ends_at_once(pulse: PulseTest) -> None:
    await pulse.define("order.paid")
    run = await pulse.emit_and_wait("order.paid")

    assert await pulse.engine.wait_for_run(run.id, timeout=5) == run


async def test_waiting_has_an_end(idle_pulse: PulseTest) -> None:
    await idle_pulse.define("order.paid")
    trigger = await idle_pulse.emit("order.paid")

    with pytest.raises(TimeoutError):
        await idle_pulse.engine.wait_for_run(trigger.run_ids[0], timeout=0.1)


async def test_an_unknown_run_is_waited_for(idle_pulse: PulseTest) -> None:
    """Its transaction may not have committed yet."""
    with pytest.raises(TimeoutError):
        await idle_pulse.engine.wait_for_run("run_nobody", timeout=0.1)


async def test_a_run_shows_which_step_is_active(pulse: PulseTest) -> None:
    """Delays and blocks count as much as handlers do."""
    pulse.action("work")
    gate = pulse.gate("gated")
    await pulse.define(
        "order.paid",
        "work",
        parallel("both", ["gated"], [delay("short", 1)]),
        delay("long", 60_000),
    )
    (run_id,) = (await pulse.emit("order.paid")).run_ids
    await gate.reached()
    active = [await pulse.engine.get_run(run_id)]
    gate.open()
    await pulse.wait_for_step(run_id, "2", "scheduled")
    active.append(await pulse.engine.get_run(run_id))
    await pulse.engine.cancel_run(run_id)
    assert [run.current_step_index for run in active if run] == [1, 2]
