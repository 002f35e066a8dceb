"""How runs are shown and judged, on real runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from io import StringIO

import asyncpg
import pytest
from rich.console import Console

from pulse_temporal import TriggerInput
from pulse_temporal.clock import utc_now
from pulse_temporal.demo.board import board
from pulse_temporal.demo.lines import entry_line
from pulse_temporal.demo.outro import QUERIES, differences
from pulse_temporal.demo.scenario import Act
from pulse_temporal.demo.watch import WatchedRun, follow, look
from pulse_temporal.model.runs import StepStatus
from pulse_temporal.testing import delay
from tests.harness import SOURCE, TENANT, PulseTest

LIMIT = timedelta(seconds=10)


async def finished(pulse: PulseTest, *, fails: int) -> WatchedRun:
    """Run two actions, of which the second fails so often, and look at the end."""
    pulse.action("charge")
    pulse.action("receipt", fails=fails)
    await pulse.define("order.paid", "charge", "receipt")
    run = await pulse.emit_and_wait("order.paid")
    return await look(pulse.engine, run.id)


def act(steps: Mapping[str, StepStatus], *, failed_attempts: int = 0) -> Act:
    """Expect a run to complete with these steps."""
    return Act(
        signal=TriggerInput(tenant_id=TENANT, source=SOURCE, type="order.paid"),
        workflow="On order.paid",
        moral="",
        steps=steps,
        failed_attempts=failed_attempts,
    )


async def test_a_run_that_ends_as_expected_differs_in_nothing(pulse: PulseTest) -> None:
    view = await finished(pulse, fails=0)
    assert differences(act({"charge": "completed", "receipt": "completed"}), view) == []


async def test_every_difference_from_the_expected_end_is_named(pulse: PulseTest) -> None:
    view = await finished(pulse, fails=1)
    found = differences(act({"charge": "skipped", "refund": "completed"}), view)
    assert found[0].startswith("the run is failed, not completed: ")
    assert found[1:] == [
        "step charge is completed, not skipped",
        "step receipt is failed, not absent",
        "step refund is absent, not completed",
        "1 attempts have failed, not 0",
    ]


def drawn(views: Sequence[WatchedRun], *, width: int, height: int | None) -> list[str]:
    """Draw a board and give its lines."""
    console = Console(file=StringIO(), width=width, record=True)
    console.print(board(views, title="Title", now=utc_now(), width=width, height=height))
    return console.export_text().splitlines()


@pytest.mark.parametrize("height", [9, 12, 40])
@pytest.mark.parametrize("width", [50, 80, 200])
async def test_the_board_fits_the_terminal(pulse: PulseTest, width: int, height: int) -> None:
    """It never takes more rows or columns than there are; the newest entries stay."""
    view = await finished(pulse, fails=0)
    natural = drawn([view] * 2, width=width, height=None)
    fitting = drawn([view] * 2, width=width, height=height)
    assert len(fitting) <= height
    assert max(map(len, fitting)) <= width
    assert "run completed" in "".join(fitting)
    assert ("earlier" in "".join(fitting)) == (len(natural) > height)


async def test_following_gives_up_at_the_limit(pulse: PulseTest) -> None:
    """The last look is given then, so that the caller can say what is missing."""
    await pulse.define("order.paid", delay("wait", 60_000))
    trigger = await pulse.emit("order.paid")
    looks: list[int] = []
    (view,) = await follow(
        pulse.engine,
        trigger.run_ids,
        show=lambda views: looks.append(len(views)),
        limit=timedelta(milliseconds=200),
    )
    assert not view.is_over
    assert set(looks) == {1}
    await pulse.engine.cancel_run(view.run.id)


@pytest.mark.parametrize("query", QUERIES)
async def test_the_queries_to_try_are_valid(connection: asyncpg.Connection, query: str) -> None:
    assert await connection.fetch(query) == []


async def test_a_step_that_goes_on_says_why(pulse: PulseTest) -> None:
    pulse.action("charge", fails=1)
    await pulse.define("order.paid", "charge")
    run = await pulse.emit_and_wait("order.paid")
    assert run.status == "failed"

    await pulse.engine.retry_run(run.id, tenant_id=TENANT, by="ada")
    await pulse.engine.wait_for_run(run.id)

    view = await look(pulse.engine, run.id)
    lines = [entry_line(entry, view).plain.strip() for entry in view.entries]
    assert [line.partition(" ")[2] for line in lines if "retried" in line] == [
        "↻ charge  retried by ada"
    ]
