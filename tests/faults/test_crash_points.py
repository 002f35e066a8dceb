"""kill -9 at every step of a signal's way: what comes out is what comes out without.

Every scenario is played in a process that dies at a failpoint, for each failpoint on its way, and
then by a process that does not. In the end runs, steps, results and effects must be equal to those
of a scenario that nothing disturbed.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Mapping

import pytest

from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.failpoints import FAILPOINTS
from tests.chaos.comparison import MATCHING
from tests.faults.crash_scenarios import SCENARIOS
from tests.faults.crashes import Forge, Recovery, Theatre
from tests.processes import Programs

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

PAIRS = [(name, point) for name, found in SCENARIOS.items() for point in sorted(found.dies_at)]


@pytest.fixture(scope="module")
async def theatre(
    servers: EmbeddedServices, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Theatre]:
    """Yield the means to play scenarios."""
    folder = tmp_path_factory.mktemp("crashes")
    with Programs(folder / "programs") as programs:
        forge = Forge(programs)
        made = Theatre(servers, template, folder, forge)
        yield made
        await made.close()
        await forge.close()


@pytest.fixture(scope="module")
async def recoveries(
    request: pytest.FixtureRequest, theatre: Theatre
) -> Mapping[tuple[str, str], asyncio.Future[Recovery]]:
    """Play all pairs that were selected, side by side and in the order of their tests."""
    test = test_a_kill_changes_nothing.__name__
    by_test = {f"{test}[{name}-{point}]": (name, point) for name, point in PAIRS}
    pairs = [by_test[item.name] for item in request.session.items if item.name in by_test]
    return {(name, point): theatre.recovery(name, point) for name, point in pairs}


def test_every_failpoint_is_on_some_way() -> None:
    """A failpoint that no scenario reaches shows nothing."""
    assert {point.partition("@")[0] for _, point in PAIRS} == set(FAILPOINTS)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_scenario_comes_to_where_it_dies(theatre: Theatre, name: str) -> None:
    ending = await theatre.undisturbed(name)

    for point in SCENARIOS[name].dies_at:
        failpoint, _, nth = point.partition("@")
        assert ending.arrivals.get(failpoint, 0) >= int(nth or 1), point


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_a_kill_changes_nothing(
    theatre: Theatre,
    recoveries: Mapping[tuple[str, str], asyncio.Future[Recovery]],
    pair: tuple[str, str],
) -> None:
    recovery = await recoveries[pair]
    undisturbed = await theatre.undisturbed(pair[0])

    assert recovery.exit_status == -signal.SIGKILL
    assert recovery.state == undisturbed.state
    assert all(MATCHING[status] == closed_as for status, closed_as in recovery.state.closed)
    later = Counter(recovery.calls) - Counter(recovery.called_by_dead)
    assert not [call for call in later if (call.run_id, call.path) in recovery.recorded]
    # A handler is called again when its call was not recorded, and only then: `lost` counts one
    # more where the claim was all that happened, or where this machine was too slow.
    calls = Counter(call.step for call in recovery.calls)
    repeated = calls - undisturbed.calls
    assert undisturbed.calls <= calls
    assert Counter(call.step for call in recovery.interrupted) <= repeated <= recovery.lost
