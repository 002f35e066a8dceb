"""What becomes of a start that Temporal will never accept."""

from __future__ import annotations

import asyncpg
import pytest

from pulse_temporal.services import dispatch
from pulse_temporal.temporal import StartRefusedError
from tests.harness import PulseTest, eventually


async def test_a_refused_start_fails_the_run_also_after_a_retry(
    pulse: PulseTest, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says why, blocks no other command, and may be retried when the cause is gone."""

    async def no_command_is_left() -> bool:
        return await connection.fetchval("SELECT count(*) FROM pulse_outbox") == 0

    async def refuse(*_: object) -> None:
        raise StartRefusedError("the server finds the input too large")

    work = pulse.action("work")
    await pulse.define("order.paid", "work")
    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "start_run", refuse)
        run = await pulse.emit_and_wait("order.paid")
        assert (run.status, run.error_message) == (
            "failed",
            "the server finds the input too large",
        )
        await pulse.engine.retry_run(run.id)
        again = await pulse.engine.wait_for_run(run.id)
        assert (again.status, again.generation) == ("failed", 2)
        await eventually(no_command_is_left)
    await pulse.engine.retry_run(run.id)
    last = await pulse.engine.wait_for_run(run.id)
    assert (last.status, last.generation, work.calls) == ("completed", 3, 1)
