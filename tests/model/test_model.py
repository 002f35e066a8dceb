"""Random definitions and scripts: the engine does what the oracle foretells.

One example is a list of cases that run side by side. ``PULSE_MODEL_EXAMPLES=500`` plays that many
lists, other ones every time; without it the same few are played on every machine. What fails is
shrunk and printed as a test to paste below.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model.cases import Case
from tests.model.stage import Stage
from tests.model.strategies import cases

MORE = os.environ.get("PULSE_MODEL_EXAMPLES")


@pytest.mark.timeout(0 if MORE else 600)
@settings(
    max_examples=int(MORE or 16),
    derandomize=not MORE,
    database=None,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # a case needs nothing but its own definition
        HealthCheck.too_slow,
        HealthCheck.large_base_example,
        HealthCheck.data_too_large,
    ],
)
@given(played=st.lists(cases, min_size=1, max_size=8))
async def test_the_engine_does_what_the_oracle_foretells(stage: Stage, played: list[Case]) -> None:
    await stage.check(*played)
