"""What definitions have done, as lists of them show it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pulse_temporal import InvalidInputError
from pulse_temporal.clock import utc_now
from tests.harness import TENANT, PulseTest


async def test_outcomes_are_counted_and_newest_runs_named(pulse: PulseTest) -> None:
    pulse.action("charge", fails=1)
    stored = await pulse.define("order.paid", "charge")
    unused = await pulse.define("order.sent")
    failed = await pulse.emit_and_wait("order.paid")
    completed = await pulse.emit_and_wait("order.paid")
    assert (failed.status, completed.status) == ("failed", "completed")

    found = await pulse.engine.definitions.activity([stored.id, unused.id, "wfd_x", "\0"])

    assert found.keys() == {stored.id, unused.id}
    assert (found[stored.id].completed.count, found[stored.id].failed.count) == (1, 1)
    newest = [(run.id, run.status) for run in found[stored.id].newest]
    assert newest == [(completed.id, "completed"), (failed.id, "failed")]
    assert (found[unused.id].completed.count, found[unused.id].newest) == (0, ())

    later = utc_now() + timedelta(hours=1)
    none = await pulse.engine.definitions.activity([stored.id], created_after=later)
    assert none[stored.id].failed.count == 0
    assert len(none[stored.id].newest) == 2


async def test_another_tenants_definitions_are_left_out(idle_pulse: PulseTest) -> None:
    stored = await idle_pulse.define("order.paid")
    other = idle_pulse.engine.for_tenant("tenant-b").definitions
    assert await other.activity([stored.id]) == {}
    assert stored.id in await idle_pulse.engine.definitions.activity([stored.id], tenant_id=TENANT)


async def test_too_many_ids_are_refused(idle_pulse: PulseTest) -> None:
    with pytest.raises(InvalidInputError, match="at most 100"):
        await idle_pulse.engine.definitions.activity(["wfd_x"] * 101)


async def test_a_list_has_only_what_the_clock_starts(idle_pulse: PulseTest) -> None:
    clock = await idle_pulse.define("a", cron_expression="@daily")
    plain = await idle_pulse.define("b")
    definitions = idle_pulse.engine.definitions
    assert [each.id for each in await definitions.list(has_cron=True)] == [clock.id]
    assert [each.id for each in await definitions.list(has_cron=False)] == [plain.id]
    assert [each.id async for each in definitions.iterate(has_cron=True)] == [clock.id]
