"""SIGTERM and frozen processes: work is finished or handed on, never lost, never done twice."""

from __future__ import annotations

import pytest

from pulse_temporal.testing import action
from tests.faults.crew import Crew, work
from tests.processes import Program

pytestmark = pytest.mark.faults

SHORT = 2_000


async def stopped(worker: Program) -> None:
    """Wait until a worker that was asked to stop has done so in good order."""
    await worker.says("the worker has stopped")
    assert await worker.ended() == 0


async def stops_polling(crew: Crew, worker: Program) -> None:
    """Ask a worker to stop; return when it has heard."""
    worker.terminate()
    other = await crew.start()  # it takes seconds to start: the first one has heard by then
    assert other.pid != worker.pid


async def test_a_stopping_worker_lets_its_handlers_finish(crew: Crew) -> None:
    """Within the grace a running handler ends as if nothing were."""
    leaving = await crew.start(grace_ms=20_000)
    crew.order("long", "hang")
    run_id = await crew.run(work("long"), work("after"))
    await crew.called("long")
    await stops_polling(crew, leaving)
    crew.withdraw("long", "hang")
    await stopped(leaving)
    run = await crew.pulse.engine.wait_for_run(run_id, 60)

    assert run.status == "completed"
    (call,) = crew.calls("long")
    assert call.pid == leaving.pid
    (after,) = crew.calls("after")
    assert after.pid != leaving.pid
    assert await crew.attempts(run_id, "0") == ["completed"]


async def test_a_stopping_worker_hands_on_what_it_cannot_finish(crew: Crew) -> None:
    """After the grace the step is given back; the one granted attempt is still there."""
    leaving = await crew.start(grace_ms=100)
    crew.order("long", "hang")
    run_id = await crew.run(work("before"), work("long"))
    await crew.called("long")
    leaving.terminate()
    await stopped(leaving)
    crew.withdraw("long", "hang")
    await crew.start()
    run = await crew.pulse.engine.wait_for_run(run_id, 60)

    assert run.status == "completed", run.error_message
    assert [call.attempt for call in crew.calls("long")] == [1, 1]
    assert len(crew.calls("before")) == 1
    assert await crew.attempts(run_id, "1") == ["released", "completed"]
    assert (await crew.pulse.steps(run_id))["1"].attempt == 1


async def test_a_stopping_worker_ends_short_actions_without_any_grace(crew: Crew) -> None:
    """They run inside a workflow task, are over in two seconds at most, and count."""
    leaving = await crew.start(grace_ms=0)
    crew.order("short", "hang")
    run_id = await crew.run(work("short", timeoutMs=SHORT), work("after"))
    await crew.called("short")
    leaving.terminate()
    crew.withdraw("short", "hang")
    await stopped(leaving)
    await crew.start()
    run = await crew.pulse.engine.wait_for_run(run_id, 60)

    assert run.status == "completed", run.error_message
    assert [call.step for call in crew.calls()] == ["short", "after"]
    assert await crew.attempts(run_id, "0") == ["completed"]


async def test_a_stopping_worker_does_not_wait_for_a_deaf_thread(crew: Crew) -> None:
    """A sync handler cannot be stopped: its step goes on elsewhere, its process ends around it."""
    leaving = await crew.start(grace_ms=100)
    crew.order("deaf", "block")
    run_id = await crew.run(action("deaf", uses="sync_work"))
    await crew.called("deaf")
    leaving.terminate()
    await leaving.says("the worker has stopped")
    other = await crew.start()
    await crew.called("deaf", times=2)
    assert await leaving.ended() == 0
    crew.withdraw("deaf", "block")
    run = await crew.pulse.engine.wait_for_run(run_id, 60)

    assert run.status == "completed"
    assert await crew.attempts(run_id, "0") == ["released", "completed"]
    assert run.context["deaf"] == {"by": other.pid, "key": f"{run_id}:0"}


async def test_a_worker_that_comes_back_cannot_overwrite_the_record(crew: Crew) -> None:
    """A frozen worker is held dead; what it says after another one recorded is refused."""
    frozen = await crew.start()
    crew.order("only", "hang")
    run_id = await crew.run(work("only"))
    await crew.called("only")
    frozen.freeze()
    crew.withdraw("only", "hang")
    other = await crew.start()
    run = await crew.pulse.engine.wait_for_run(run_id, 60)
    frozen.thaw()
    frozen.terminate()
    await stopped(frozen)

    assert run.status == "completed"
    assert run.context["only"] == {"by": other.pid, "key": f"{run_id}:0"}
    assert (await crew.pulse.engine.get_run(run_id)) == run
    assert await crew.attempts(run_id, "0") == ["lost", "completed"]


async def test_two_workers_in_one_step_leave_one_record(crew: Crew) -> None:
    """A worker that was held dead goes on beside its replacement; the first to record wins."""
    frozen = await crew.start()
    crew.order("only", "hang")
    run_id = await crew.run(work("only"), work("after"))
    await crew.called("only")
    frozen.freeze()
    other = await crew.start()
    await crew.called("only", times=2)
    frozen.thaw()
    crew.withdraw("only", "hang")
    run = await crew.pulse.engine.wait_for_run(run_id, 60)

    assert run.status == "completed"
    assert len(crew.calls("only")) == 2
    assert len(crew.calls("after")) == 1
    ends = await crew.attempts(run_id, "0")
    assert sorted(ends) == ["completed", "lost"]
    winner = (frozen, other)[ends.index("completed")]
    assert run.context["only"] == {"by": winner.pid, "key": f"{run_id}:0"}
