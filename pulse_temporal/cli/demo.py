"""``pulse demo``: the whole product in a few seconds, on servers of its own."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from pulse_temporal.cli.exits import Exit
from pulse_temporal.cli.local_pages import local_pages
from pulse_temporal.cli.logs import log_file, log_tail
from pulse_temporal.demo.outro import tell_outcome, tell_where_to_look
from pulse_temporal.demo.scenario import ACTS, TENANTS, definitions, register
from pulse_temporal.demo.screens import screen
from pulse_temporal.demo.watch import WatchedRun, follow
from pulse_temporal.embedded import embedded_services
from pulse_temporal.embedded.folder import make_folder
from pulse_temporal.engine.facade import Engine, create_engine
from pulse_temporal.model.definitions import WorkflowInput

if TYPE_CHECKING:
    from pulse_temporal.web.serving import PagesServer

LOG_NAME = "demo.log"
TITLE = "Pulse demo: 2 tenants, 2 workflows each, 4 runs at the same time"
RUNS_LIMIT = timedelta(seconds=60)
"""The runs take a few seconds; when they take longer than this, something is wrong."""

SHUTDOWN_GRACE = timedelta(seconds=2)


def demo(
    *,
    keep: Annotated[bool, Parameter(negative=())] = False,
    folder: Path | None = None,
) -> int:
    """Start Postgres and Temporal, run two workflows for two tenants, watch them live.

    Nothing has to be installed or running, and nothing is left behind. The runs show a durable
    delay, a condition, parallel branches and a retry; the exit code is 0 when each of them
    ended as it should.

    Parameters
    ----------
    keep:
        Leave the servers up after the runs, with a page for each of them, until Ctrl-C.
    folder:
        Keep the data in this folder, for example .pulse; without it, it is thrown away.
    """
    stage = Stage(
        console=Console(highlight=False), progress=Console(stderr=True, highlight=False), keep=keep
    )
    with data_folder(folder) as data, log_file(data / LOG_NAME):
        try:
            is_well = asyncio.run(play(stage, data, durable=folder is not None))
        except Exception:
            stage.print_log(data / LOG_NAME)
            raise
        if not is_well:
            stage.print_log(data / LOG_NAME)
    return Exit.OK if is_well else Exit.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the demo prints, and whether its servers stay up.

    Attributes:
        console: Standard output: the timelines and the outcome.
        progress: Standard error: progress, and the log of a demo that failed.
        keep: The servers stay up until Ctrl-C.
    """

    console: Console
    progress: Console
    keep: bool

    def print_log(self, path: Path) -> None:
        """Print the end of the log, after a demo that went wrong."""
        lines = log_tail(path)
        if lines:
            self.progress.print(Text("\n".join(["The log ends with:", *lines])), soft_wrap=True)

    @contextmanager
    def busy(self, doing: str) -> Generator[None]:
        """Show what is being done: with a spinner in a terminal, else in a line."""
        if self.progress.is_terminal:
            with self.progress.status(doing):
                yield
        else:
            self.progress.print(doing)
            yield


@contextmanager
def data_folder(chosen: Path | None) -> Generator[Path]:
    """Yield the folder for the servers' data; a temporary one, if none was chosen."""
    if chosen is not None:
        yield make_folder(chosen)
        return
    with TemporaryDirectory(prefix="pulse-demo-", ignore_cleanup_errors=True) as made:
        path = Path(made)
        if os.geteuid() == 0:
            path.chmod(0o711)  # Postgres may run as another user, who must be able to cross it
        yield path


async def play(stage: Stage, data: Path, *, durable: bool) -> bool:
    """Run the whole demo; return whether all runs ended as expected."""
    end_like_ctrl_c()
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        with stage.busy("Starting Postgres and Temporal ..."):
            services = await stack.enter_async_context(embedded_services(data, durable=durable))
            place = stack.enter_context(local_pages()) if stage.keep else None
            url = place.url if place else ""
            engine = create_engine(
                services.dsn,
                services.temporal_address,
                shutdown_grace=SHUTDOWN_GRACE,
                pages_url=url,
            )
            stack.push_async_callback(engine.stop)
            await engine.migrate()
            register(engine)
            await engine.start()
        ready = time.monotonic() - began
        stage.progress.print(f"Postgres, Temporal and a worker are up after {ready:.1f} s.")
        views = await perform(stage, engine)
        played = list(zip(ACTS, views, strict=True))
        pages = place.of(engine, services.temporal_ui) if place else None
        is_well = tell_outcome(stage.console, services, played, keep=stage.keep, pages=url)
        tell_where_to_look(stage.console, services, keep=stage.keep, pages=url)
        if stage.keep:
            await until_ended(stage, pages)
        if durable:
            stage.progress.print(f"Stopping; the data stays in {data}.")
    return is_well


async def perform(stage: Stage, engine: Engine) -> list[WatchedRun]:
    """Store the tenants' workflows, emit all signals at once, and show the runs to their end."""
    for tenant_id in TENANTS:
        for definition in definitions(tenant_id):
            await store(engine, definition)
    triggers = await asyncio.gather(*(engine.emit(act.signal) for act in ACTS))
    # Runs come by the age of their definitions: the last one is of the definition just stored.
    # In a folder that was kept, others may match too.
    run_ids = [trigger.run_ids[-1] for trigger in triggers]
    with screen(stage.console, title=TITLE) as show:
        return await follow(engine, run_ids, show=show, limit=RUNS_LIMIT)


async def store(engine: Engine, definition: WorkflowInput) -> None:
    """Store a workflow in place of the one that an earlier demo left in a kept folder."""
    earlier = await engine.list_workflows(
        tenant_id=definition.tenant_id, trigger_type=definition.trigger_type, limit=500
    )
    for old in earlier.items:
        if old.name == definition.name:
            await engine.delete_workflow(old.id, tenant_id=old.tenant_id)
    await engine.create_workflow(definition)


def end_like_ctrl_c() -> None:
    """Make SIGTERM and SIGHUP cancel the running task, as Ctrl-C does, so that servers stop."""
    task = asyncio.current_task()
    if task is not None:
        for number in (SIGTERM, SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


async def until_ended(stage: Stage, pages: PagesServer | None) -> None:
    """Serve the pages until Ctrl-C, SIGTERM or SIGHUP, here the normal end and no error."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (SIGINT, SIGTERM, SIGHUP):
        loop.add_signal_handler(number, ended.set)
    stage.progress.print("\nThe servers and the worker stay up until Ctrl-C.")
    if pages is None:
        await ended.wait()
    else:
        async with asyncio.TaskGroup() as group:
            group.create_task(pages.serve())
            await ended.wait()
            pages.stop()
    stage.progress.print()
