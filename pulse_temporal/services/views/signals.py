"""Read signals as lists and pages show them, their chains, and what a search finds."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from pulse_temporal.errors import InvalidInputError, NotFoundError
from pulse_temporal.model.plain import UNSAFE, cut_repr
from pulse_temporal.model.runs import Page
from pulse_temporal.model.signal_views import (
    ChainRun,
    ChainSignal,
    SearchResult,
    SignalChain,
    SignalSummary,
)
from pulse_temporal.model.values import RESOURCE_ID_CHARS
from pulse_temporal.model.view_filters import SignalFilter
from pulse_temporal.services.pages import check_limit, read_cursor, write_cursor
from pulse_temporal.store import searches, signal_views
from pulse_temporal.store.database import Database
from pulse_temporal.store.places import KeysetPosition
from pulse_temporal.store.signal_views import LinkedRun, LinkedSignal

MOST_NODES = 1_000
"""Signals and runs of a chain that are shown."""

MOST_LEVELS = 50
"""Signals that follow each other in a chain, as far as they are shown; JSON nests no deeper."""

MOST_RESULTS = 20
PREFIX = re.compile(r"(?:run|trg|wfd)_[0-9a-z]{4,60}")
"""The beginning of an id, of eight characters at least."""


class SignalViews:
    """Questions that lists and pages ask about signals.

    Everywhere ``tenant_id`` narrows to one tenant: another tenant's rows do not exist then.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    async def list_signals(
        self, wanted: SignalFilter, *, limit: int, cursor: str | None
    ) -> Page[SignalSummary]:
        """Read one page of signals, newest first, in one statement or two."""
        check_limit(limit)
        if wanted.tenant_id is None:
            raise InvalidInputError("A list of signals needs a tenant_id.")
        after = read_cursor(cursor)
        async with self.database.session() as session:
            listed = await signal_views.list_signals(session, wanted, after=after, limit=limit + 1)
        shown, end = listed.found[:limit], listed.looked_until
        if len(listed.found) > limit:
            end = KeysetPosition(shown[-1].created_at, shown[-1].id)
        return Page[SignalSummary](
            items=tuple(shown), next_cursor=write_cursor(end) if end else None
        )

    async def chain(self, signal_id: str, *, tenant_id: str | None) -> SignalChain:
        """Read the chain of a signal, in two statements.

        Raises:
            NotFoundError: There is no such signal.
        """
        async with self.database.session() as session:
            signals = await signal_views.chain_signals(
                session, signal_id, tenant_id=tenant_id, limit=MOST_NODES + 1
            )
            if not signals:
                raise NotFoundError(f"There is no signal {cut_repr(signal_id)[:100]}.")
            runs = await signal_views.chain_runs(
                session,
                [signal.id for signal in signals],
                tenant_id=tenant_id,
                limit=MOST_NODES + 1,
            )
        return chain_of(signals, runs)

    async def search(self, text: str, *, tenant_id: str | None) -> list[SearchResult]:
        """Find by an exact id, else by the beginning of one, else by keys and names."""
        wanted = text.strip() if isinstance(text, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance] - callers without types
        if not wanted or len(wanted) > RESOURCE_ID_CHARS or UNSAFE.search(wanted):
            return []
        async with self.database.session() as session:
            found = await searches.by_id(session, wanted, tenant_id=tenant_id)
            if found:
                return found
            if PREFIX.fullmatch(wanted):
                found = await searches.by_prefix(
                    session, wanted, tenant_id=tenant_id, limit=MOST_RESULTS
                )
            if tenant_id is not None:
                found += await searches.by_key(
                    session, wanted, tenant_id=tenant_id, limit=MOST_RESULTS
                )
                found += await searches.by_name(
                    session, wanted, tenant_id=tenant_id, limit=MOST_RESULTS
                )
        return found[:MOST_RESULTS]


def chain_of(signals: Sequence[LinkedSignal], runs: Sequence[LinkedRun]) -> SignalChain:
    """Make the tree of a chain; the nodes nearest to its first signal have room.

    Args:
        signals: The first one of the chain first.
        runs: Oldest first.
    """
    of_signal: dict[str, list[LinkedRun]] = defaultdict(list)
    for run in runs:
        of_signal[run.trigger_id].append(run)
    of_run: dict[str | None, list[LinkedSignal]] = defaultdict(list)
    for signal in signals[1:]:
        of_run[signal.caused_by_run_id].append(signal)
    levels = _levels(signals[0], of_signal, of_run)
    shown = list(islice((node for level in levels for node in level), MOST_NODES))
    kept = {node.id for node in shown}
    made: dict[str, ChainSignal] = {}
    for node in reversed(shown):
        if isinstance(node, LinkedSignal):
            runs_of = [run for run in of_signal.get(node.id, ()) if run.id in kept]
            made[node.id] = _signal(node, runs_of, of_run, made)
    return SignalChain(
        root=made[signals[0].id],
        nodes=len(shown),
        is_cut=len(shown) < len(signals) + len(runs),
    )


def _levels(
    root: LinkedSignal,
    of_signal: Mapping[str, Sequence[LinkedRun]],
    of_run: Mapping[str | None, Sequence[LinkedSignal]],
) -> Iterator[Sequence[LinkedSignal | LinkedRun]]:
    """Yield the levels of a chain from above: signals, their runs, the signals of those, ..."""
    signals: Sequence[LinkedSignal] = [root]
    for _ in range(MOST_LEVELS):
        yield signals
        runs = [run for signal in signals for run in of_signal.get(signal.id, ())]
        yield runs
        signals = [signal for run in runs for signal in of_run.get(run.id, ())]


def _signal(
    signal: LinkedSignal,
    runs: Sequence[LinkedRun],
    of_run: Mapping[str | None, Sequence[LinkedSignal]],
    made: Mapping[str, ChainSignal],
) -> ChainSignal:
    """Return a signal with the runs that it started; what they caused is made already."""
    return ChainSignal(
        id=signal.id,
        source=signal.source,
        type=signal.type,
        resource_type=signal.resource_type,
        resource_id=signal.resource_id,
        depth=signal.depth,
        created_at=signal.created_at,
        runs=tuple(
            ChainRun(
                id=run.id,
                definition_id=run.definition_id,
                definition_name=run.definition_name,
                status=run.status,
                is_replay=run.is_replay,
                created_at=run.created_at,
                signals=tuple(
                    made[caused.id] for caused in of_run.get(run.id, ()) if caused.id in made
                ),
            )
            for run in runs
        ),
    )
