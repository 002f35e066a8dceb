"""The list of runs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import HTMLResponse, StreamingResponse
from typing_extensions import override

from pulse_temporal.engine.tenant import TenantEngine
from pulse_temporal.model.definitions import WorkflowDefinition
from pulse_temporal.model.runs import Page
from pulse_temporal.model.views import RunCounts, RunSummary
from pulse_temporal.web.asked import Ask, Asked
from pulse_temporal.web.pages.run_list import RunListQuery, read_run_list
from pulse_temporal.web.render import Renderer
from pulse_temporal.web.topics import Picture, Topic, partial

PAGE_RUNS = 50
MOST_DEFINITIONS = 100
LOOK_EVERY_SECONDS = 1.0

router = APIRouter(prefix="/t/{tenant}")


@router.get("/runs")
async def show_runs(ask: Ask) -> HTMLResponse:
    """Show one page of a tenant's runs."""
    ask.check("runs:read")
    wanted = read_run_list(ask.base, ask.request.query_params)
    definitions = await _definitions(ask.engine)
    picture = await _look(ask, wanted, definitions)
    return ask.page(
        "runs.html",
        here="runs",
        list=wanted,
        page=picture.page,
        counts=picture.counts,
        definitions=definitions,
        version=picture.name,
    )


@router.get("/runs/stream")
async def stream_runs(ask: Ask, v: str = "") -> StreamingResponse:
    """Stream what changes in a tenant's newest runs."""
    ask.check("runs:read")
    wanted = read_run_list(ask.base, ask.request.query_params)
    seen = ask.request.headers.get("last-event-id") or v
    key = ("runs", ask.tenant_id, wanted, ask.sharing)
    return ask.site.topics.stream(ask.principal, key, lambda: RunListTopic(ask, wanted), seen=seen)


@dataclass(frozen=True)
class RunListPicture(Picture):
    """What a list of runs shows: one page of them, and how many there are."""

    name: str
    page: Page[RunSummary]
    counts: RunCounts
    wanted: RunListQuery
    definitions: Sequence[WorkflowDefinition]
    renderer: Renderer
    frame: dict[str, object]

    @override
    def whole(self) -> str:
        return self._chips() + self._list()

    @override
    def since(self, seen: Picture) -> str:
        if not isinstance(seen, RunListPicture):
            return self.whole()
        parts = [self._chips()] if seen.counts != self.counts else []
        before = {run.id: run for run in seen.page.items}
        if [*before] != [run.id for run in self.page.items]:
            return "".join((*parts, self._list()))
        parts += [
            partial(f"r-{run.id}", self._html("_run_row.html", run=run))
            for run in self.page.items
            if before[run.id] != run
        ]
        return "".join(parts)

    def _chips(self) -> str:
        return partial("chips", self._html("_chips.html", list=self.wanted, counts=self.counts))

    def _list(self) -> str:
        values = {"page": self.page, "list": self.wanted, "definitions": self.definitions}
        return partial("list", self._html("_run_list.html", **values))

    def _html(self, template: str, **values: object) -> str:
        return self.renderer.html(template, **self.frame, here="runs", **values)


class RunListTopic(Topic):
    """Looks at a list of runs once a second."""

    def __init__(self, ask: Asked, wanted: RunListQuery) -> None:
        super().__init__()
        self._ask = ask
        self._wanted = wanted

    @override
    async def keep(self) -> None:
        definitions = await _definitions(self._ask.engine)
        while True:
            self.show(await _look(self._ask, self._wanted, definitions))
            await asyncio.sleep(LOOK_EVERY_SECONDS)


async def _definitions(engine: TenantEngine) -> Sequence[WorkflowDefinition]:
    """Return the definitions that a list can be narrowed to."""
    return (await engine.definitions.list(limit=MOST_DEFINITIONS)).items


async def _look(
    ask: Asked, wanted: RunListQuery, definitions: Sequence[WorkflowDefinition]
) -> RunListPicture:
    runs = ask.engine.runs
    page = ask.shown(
        await runs.list_summaries(limit=PAGE_RUNS, cursor=wanted.cursor or None, **wanted.filter())
    )
    counts = await runs.count(**wanted.narrowed())
    shown = hashlib.blake2s(page.model_dump_json().encode(), digest_size=8)
    shown.update(counts.model_dump_json().encode())
    return RunListPicture(
        shown.hexdigest(), page, counts, wanted, definitions, ask.site.renderer, ask.frame
    )
