"""An application that emits without a pause, and repeats what failed, while servers suffer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import count
from typing import Self

from pulse_temporal import PulseError
from pulse_temporal.testing import delay
from tests.harness import TENANT, PulseTest, eventually

SIGNAL = "fault.met"
EMITTERS = 3
PAUSE_SECONDS = 0.03
PATIENCE = timedelta(seconds=40)
RUN_SECONDS = 60.0


class Load:
    """Emitters, each with one signal after the other; every signal has its own key.

    A signal is repeated under its key until the engine has accepted it. An error that is not
    ``retryable``, or none of the library's, ends the load and fails the test.

    Attributes:
        acked: The trigger that each key was acknowledged with.
        errors: What emits raised.
    """

    def __init__(self, pulse: PulseTest) -> None:
        self.pulse = pulse
        self.acked: dict[str, str] = {}
        self.errors: list[PulseError] = []
        self._numbers = count()
        self._over = asyncio.Event()
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """Define what the signals start, and begin to emit."""
        self.pulse.action("load_first")
        self.pulse.action("load_last")
        await self.pulse.define(SIGNAL, "load_first", delay("load_pause", 50), "load_last")
        await self._group.__aenter__()
        for _ in range(EMITTERS):
            self._group.create_task(self._emit_on())
        return self

    async def __aexit__(self, *error: object) -> None:
        """Emit no more; what was begun is finished."""
        self._over.set()
        await self._group.__aexit__(None, None, None)

    async def _emit_on(self) -> None:
        while not self._over.is_set():
            await self._emit(f"load-{next(self._numbers)}")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _emit(self, key: str) -> None:
        while key not in self.acked:
            try:
                self.acked[key] = (await self.pulse.emit(SIGNAL, idempotency_key=key)).id
            except PulseError as error:
                if not error.retryable:
                    raise
                self.errors.append(error)
                await asyncio.sleep(PAUSE_SECONDS)

    async def goes_on(self, signals: int = 15) -> None:
        """Wait until so many more signals have been accepted."""
        goal = len(self.acked) + signals

        async def is_there() -> bool:
            return len(self.acked) >= goal

        await eventually(is_there, within=PATIENCE)

    async def fails(self) -> None:
        """Wait until an emit fails that began after this moment."""
        seen = len(self.errors)

        async def has_failed() -> bool:
            return len(self.errors) > seen + EMITTERS

        await eventually(has_failed, within=PATIENCE)

    async def check(self) -> None:
        """After the end: nothing accepted is lost, nothing is doubled, every run completes."""
        async with self.pulse.engine.transaction() as connection:
            rows = await connection.fetch(
                "SELECT t.idempotency_key AS key, t.id, r.id AS run_id FROM pulse_triggers AS t"
                " LEFT JOIN pulse_workflow_runs AS r ON r.trigger_id = t.id"
                " WHERE t.tenant_id = $1 AND t.idempotency_key LIKE 'load-%'",
                TENANT,
            )
        assert {row["key"]: row["id"] for row in rows} == self.acked
        assert len(rows) == len(self.acked), "one signal, one run"
        runs = [await self.pulse.engine.wait_for_run(row["run_id"], RUN_SECONDS) for row in rows]
        assert {run.status for run in runs} == {"completed"}, [run.error_message for run in runs]
