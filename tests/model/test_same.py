"""What makes no difference: the order of branches, a step that does nothing, the tenant's name.

``PULSE_MODEL_EXAMPLES=100`` plays that many cases, other ones every time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from pulse_temporal.model.steps import walk
from pulse_temporal.model.values import JsonObject
from tests.model.cases import Case
from tests.model.compare import strictly
from tests.model.oracle import RunStory
from tests.model.stage import Stage
from tests.model.strategies import cases

MORE = os.environ.get("PULSE_MODEL_EXAMPLES")
NOTHING: Mapping[str, object] = {"type": "delay", "name": "nothing", "delayMs": 1}


def reversed_branches(steps: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Return the same steps with the branches of each block in the opposite order."""
    changed: list[Mapping[str, object]] = []
    for step in steps:
        branches = step.get("branches")
        if isinstance(branches, list):
            inner = [reversed_branches(branch) for branch in reversed(branches)]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - JSON made by our own strategy
            changed.append({**step, "branches": inner})
        else:
            changed.append(step)
    return changed


def told_by_name(case: Case, story: RunStory) -> list[object]:
    """Tell a run without the paths of its steps."""
    steps = {
        step.name: (story.steps[path].status, story.steps[path].attempt, story.steps[path].result)
        for path, step in walk(case.parsed())
        if step.name != NOTHING["name"]
    }
    context: JsonObject = story.context
    return [
        story.status,
        strictly(context),
        strictly({name: list(s) for name, s in steps.items()}),
    ]


@pytest.mark.timeout(0 if MORE else 600)
@settings(
    max_examples=int(MORE or 8),
    derandomize=not MORE,
    database=None,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # a case needs nothing but its own definition
        HealthCheck.too_slow,
    ],
)
@given(case=cases)
async def test_a_case_ends_alike_for_another_tenant_order_or_start(
    stage: Stage, case: Case
) -> None:
    """Retries too end alike, because each step has its own script."""
    alike = [
        replace(case, replays=()),
        replace(case, replays=(), steps=reversed_branches(case.steps)),
        replace(case, replays=(), steps=[NOTHING, *case.steps]),
    ]

    played = await asyncio.gather(
        *(stage.play(same) for same in alike),
        stage.play(alike[0], tenant_id="somebody-else"),
    )

    told = [
        told_by_name(same, story)
        for same, (story,) in zip([*alike, alike[0]], played, strict=True)
    ]
    assert told == [told[0]] * len(told), case.as_test()
