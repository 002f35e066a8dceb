"""What the page of a run shows at a moment, and how it follows the run."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from typing_extensions import override

from pulse_temporal.clock import utc_now
from pulse_temporal.model.addresses import segment
from pulse_temporal.model.views import RunView, TemporalPlace
from pulse_temporal.model.waterfall import StepRow, Waterfall, WaterfallRow, waterfall_of
from pulse_temporal.web.asked import Asked
from pulse_temporal.web.render import Renderer, anchor
from pulse_temporal.web.topics import Picture, Topic, partial
from pulse_temporal.web.urls import query


@dataclass(frozen=True)
class RunLook:
    """How somebody looks at a run.

    Attributes:
        fold: Whether idle time is folded.
        show_all: Whether all rows of a very long run are shown.
    """

    run_id: str
    base: str
    fold: bool = True
    show_all: bool = False

    @property
    def url(self) -> str:
        """Path of the run's page."""
        return f"{self.base}/runs/{segment(self.run_id)}"

    @property
    def query(self) -> str:
        """What the stream is asked for besides, from an ampersand on."""
        fields = query(fold=None if self.fold else "0", all="1" if self.show_all else None)
        return fields.replace("?", "&")

    @property
    def values(self) -> dict[str, object]:
        """What the templates are given."""
        show_all = "1" if self.show_all else None
        return {
            "run_url": self.url,
            "stream_query": self.query,
            "fold": self.fold,
            "fold_url": self.url + query(fold="0" if self.fold else None, all=show_all),
            "wide_url": self.url + query(fold=None if self.fold else "0", all="1"),
        }


@dataclass(frozen=True)
class RunPicture(Picture):
    """What the page of a run shows at a moment."""

    name: str
    view: RunView
    waterfall: Waterfall
    look: RunLook
    renderer: Renderer
    frame: dict[str, object]

    @override
    def whole(self) -> str:
        return self._head() + self._waterfall()

    @override
    def since(self, seen: Picture) -> str:
        if not isinstance(seen, RunPicture):
            return self.whole()
        parts = [] if _head_of(seen.view) == _head_of(self.view) else [self._head()]
        old, new = seen.waterfall, self.waterfall
        if _frame_of(old) != _frame_of(new):
            return "".join((*parts, self._waterfall()))
        for before, row in zip(old.rows, new.rows, strict=True):
            if (
                isinstance(row, StepRow)
                and isinstance(before, StepRow)
                and row.step != before.step
            ):
                parts.append(partial(anchor(row.path), self._html("_row.html", row=row)))
        return "".join(parts)

    def _head(self) -> str:
        return partial("run-head", self._html("_run_head.html"))

    def _waterfall(self) -> str:
        return partial("waterfall", self._html("_waterfall.html", waterfall=self.waterfall))

    def _html(self, template: str, **values: object) -> str:
        return self.renderer.html(
            template, **self.frame, **self.look.values, view=self.view, **values
        )


def picture_of(ask: Asked, view: RunView, look: RunLook, *, now: datetime) -> RunPicture:
    """Return what the page of a run shows now.

    Args:
        ask: Who asks, and where.
        view: The run, as they are shown it.
        look: How they look at it.
        now: The moment.
    """
    waterfall = waterfall_of(view, now=now, fold_idle=look.fold, show_all=look.show_all)
    shown = hashlib.blake2s(view.model_dump_json().encode(), digest_size=8)
    shown.update(repr(waterfall.scale.points).encode())
    ui = ask.site.options.temporal_ui
    frame = {**ask.frame, "temporal_url": temporal_url(ui, view.temporal) if ui else ""}
    return RunPicture(shown.hexdigest(), view, waterfall, look, ask.site.renderer, frame)


class RunTopic(Topic):
    """Follows a run; its time axis changes by itself too."""

    def __init__(self, ask: Asked, look: RunLook) -> None:
        super().__init__()
        self._ask = ask
        self._look = look

    @override
    async def keep(self) -> None:
        run_id = self._look.run_id
        aging: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as tasks:
            async for view in self._ask.engine.runs.watch(run_id, follow=True):
                if aging is not None:
                    aging.cancel()
                aging = tasks.create_task(self._age(self._ask.shown(view)))

    async def _age(self, view: RunView) -> None:
        """Show a view, and again whenever its axis changes though nothing happened."""
        while True:
            now = utc_now()
            picture = picture_of(self._ask, view, self._look, now=now)
            self.show(picture)
            until = picture.waterfall.scale.valid_until
            if until is None:
                return
            await asyncio.sleep(max((until - now).total_seconds(), 0.05))


def temporal_url(ui: str, place: TemporalPlace) -> str:
    """Return the address of a run in Temporal's own pages."""
    workflow = quote(place.workflow_id, safe="")
    url = f"{ui.rstrip('/')}/namespaces/{quote(place.namespace, safe='')}/workflows/{workflow}"
    return f"{url}/{quote(place.run_id, safe='')}/timeline" if place.run_id else url


def _head_of(view: RunView) -> RunView:
    """Return what the head of the page shows of a view: everything but the steps."""
    return view.model_copy(update={"steps": (), "updated_at": view.run.created_at})


def _frame_of(waterfall: Waterfall) -> object:
    """Return what must be equal for single rows to be replaced."""
    rows = [row if _is_fold(row) else row.path for row in waterfall.rows]
    return waterfall.scale, waterfall.failed, rows


def _is_fold(row: WaterfallRow) -> bool:
    return not isinstance(row, StepRow)
