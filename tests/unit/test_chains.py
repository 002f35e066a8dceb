"""A chain that is too large for a page is cut where it is farthest from its first signal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pulse_temporal.model.signal_views import ChainSignal
from pulse_temporal.services.views import signals as views
from pulse_temporal.store.signal_views import LinkedRun, LinkedSignal

START = datetime(2026, 3, 1, tzinfo=UTC)


def signal(number: int, *, depth: int, run: str | None) -> LinkedSignal:
    return LinkedSignal(
        id=f"trg_{number}",
        source="shop",
        type="order.paid",
        resource_type=None,
        resource_id=None,
        depth=depth,
        caused_by_run_id=run,
        created_at=START + timedelta(seconds=number),
    )


def run(number: int, *, of: int) -> LinkedRun:
    return LinkedRun(
        id=f"run_{number}",
        trigger_id=f"trg_{of}",
        definition_id="wfd_1",
        definition_name="Pay",
        status="completed",
        is_replay=False,
        created_at=START,
    )


def depth_of(root: ChainSignal) -> int:
    """Count the signals that follow each other."""
    depth, level = 0, [root]
    while level:
        depth += 1
        level = [caused for each in level for run in each.runs for caused in run.signals]
    return depth


def test_a_wide_chain_keeps_its_oldest_signals() -> None:
    signals = [
        signal(0, depth=0, run=None),
        *(signal(number, depth=1, run="run_0") for number in range(1, 1_001)),
    ]

    chain = views.chain_of(signals, [run(0, of=0)])

    assert (chain.nodes, chain.is_cut) == (views.MOST_NODES, True)
    caused = chain.root.runs[0].signals
    assert [each.id for each in caused] == [f"trg_{number}" for number in range(1, 999)]


def test_a_deep_chain_is_cut_where_json_would_nest_too_deep() -> None:
    length = 200
    signals = [
        signal(number, depth=number, run=f"run_{number - 1}" if number else None)
        for number in range(length)
    ]

    chain = views.chain_of(signals, [run(number, of=number) for number in range(length)])

    assert chain.is_cut
    assert depth_of(chain.root) == views.MOST_LEVELS
    assert chain.model_validate_json(chain.model_dump_json()) == chain


def test_a_signal_whose_run_is_gone_has_no_place() -> None:
    signals = [signal(0, depth=0, run=None), signal(1, depth=1, run="run_deleted")]

    chain = views.chain_of(signals, [])

    assert (chain.nodes, chain.is_cut, chain.root.runs) == (1, True, ())
