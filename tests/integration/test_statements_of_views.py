"""A page takes as many statements as it has kinds of things, however many of them there are."""

from __future__ import annotations

import pytest

from pulse_temporal.postgres.connection import Record
from pulse_temporal.postgres.sessions import Session
from pulse_temporal.testing import parallel
from tests.harness import TENANT, PulseTest

BRANCHES = 40


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list in which the names of the statements are that are sent."""
    names: list[str] = []
    row, rows = Session.row, Session.rows

    async def noted_row(self: Session, name: str, /, **arguments: object) -> Record | None:
        names.append(name)
        return await row(self, name, **arguments)

    async def noted_rows(self: Session, name: str, /, **arguments: object) -> list[Record]:
        names.append(name)
        return await rows(self, name, **arguments)

    monkeypatch.setattr(Session, "row", noted_row)
    monkeypatch.setattr(Session, "rows", noted_rows)
    return names


async def test_a_list_with_its_counts_takes_four_statements(
    idle_pulse: PulseTest, sent: list[str]
) -> None:
    idle_pulse.action("pay")
    definition = await idle_pulse.define("order.paid", "pay")
    for _ in range(3):
        await idle_pulse.emit("order.paid")

    for wanted in ({}, {"status": "pending"}, {"attention": "retrying"}):
        sent.clear()
        await idle_pulse.engine.list_run_summaries(tenant_id=TENANT, **wanted)  # pyright: ignore[reportArgumentType] - any field
        await idle_pulse.engine.count_runs(tenant_id=TENANT)
        assert len(sent) == (3 if "attention" in wanted else 4), "an empty page reads no run"
    sent.clear()
    await idle_pulse.engine.list_run_summaries(tenant_id=TENANT, definition_id=definition.id)
    assert len(sent) == 3, "which statuses there are is asked too"


async def test_the_page_of_a_run_takes_four_statements_however_many_steps_there_are(
    idle_pulse: PulseTest, sent: list[str]
) -> None:
    for number in range(BRANCHES):
        idle_pulse.action(f"pay_{number}")
    branches = [[f"pay_{number}"] for number in range(BRANCHES)]
    await idle_pulse.define("order.paid", parallel("all", *branches))
    (run_id,) = (await idle_pulse.emit("order.paid")).run_ids
    sent.clear()

    view = await idle_pulse.engine.get_run_view(run_id)

    assert view is not None
    assert len(view.steps) == BRANCHES + 1
    assert len(sent) == 4
    sent.clear()
    await idle_pulse.engine.get_step(run_id, "0/b3/0")
    assert len(sent) == 4
