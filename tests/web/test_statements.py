"""No page asks Postgres more than six times, and nobody is asked while nobody looks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pulse_temporal.postgres.sessions import Session
from pulse_temporal.web import WebOptions, asgi
from tests.harness import TENANT, PulseTest, eventually
from tests.web.asking import ask

MOST = 6
MOST_OF_A_STEP = 4
"""The open step of a run is a page of its own within that of its run."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the statements that are sent, as they are sent."""
    names: list[str] = []
    prepared = Session._prepared  # pyright: ignore[reportPrivateUsage] - every statement passes it

    def noted(self: Session, name: str, arguments: dict[str, object]) -> object:
        names.append(name)
        return prepared(self, name, arguments)

    monkeypatch.setattr(Session, "_prepared", noted)
    return names


async def test_no_page_asks_more_than_six_times(idle_pulse: PulseTest, asked: list[str]) -> None:
    engine = idle_pulse.engine
    idle_pulse.action("ship")
    many = [[f"b{branch}" for _ in range(1)] for branch in range(100)]
    branches = [
        [{"type": "action", "name": name, "uses": "ship"} for name in each] for each in many
    ]
    steps = [{"type": "action", "name": f"s{n}", "uses": "ship"} for n in range(300)]
    stored = await idle_pulse.define(
        "order.paid",
        *steps,
        {"type": "parallel", "name": "all", "branches": branches},
        cron_expression="30 2 * * *",
    )
    await engine.definitions.update(stored.id, {"name": "Other"})
    trigger = await idle_pulse.emit("order.paid")
    (run_id,) = trigger.run_ids
    app = asgi(engine, options=WebOptions())
    for place in (
        "",
        "runs",
        "runs?attention=retrying",
        f"runs/{run_id}",
        f"runs/{run_id}?all=1&step=7",
        f"runs/{run_id}/steps/7",
        "failures",
        "bulk",
        "bulk/new?kind=retry&all=1",
        "bulk/new?kind=replay&all=1",
        "signals",
        f"signals/{trigger.id}",
        "search?q=order",
        "definitions",
        f"definitions/{stored.id}",
        f"definitions/{stored.id}/versions",
        f"definitions/{stored.id}/diff",
        "crons?cron=@daily",
    ):
        asked.clear()
        answer = await ask(app, f"/t/{TENANT}/{place}")
        assert answer.status == 200
        most = MOST + MOST_OF_A_STEP if "step=" in place else MOST
        assert len(asked) <= most, (place, asked)


async def test_a_watched_run_is_asked_for_and_nothing_when_nobody_watches(
    idle_pulse: PulseTest, asked: list[str]
) -> None:
    idle_pulse.action("ship")
    await idle_pulse.define("order.paid", "ship")
    (run_id,) = (await idle_pulse.emit("order.paid")).run_ids
    views = idle_pulse.engine.runs.watch(run_id)
    assert (await anext(views)).run.id == run_id

    async def looked() -> Sequence[str] | None:
        return asked if asked.count("feed.watched") > 2 else None

    await eventually(looked)
    await views.aclose()
    feed = idle_pulse.engine._parts.feed  # pyright: ignore[reportPrivateUsage] - no other way to its end
    poller = feed._poller  # pyright: ignore[reportPrivateUsage]
    assert poller
    await poller  # it ends by itself
    asked.clear()
    assert await feed.tick() == 0
    assert asked == []
