"""``pulse dev``: everything that an application needs, in one command."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text
from watchfiles import DefaultFilter, awatch  # pyright: ignore[reportUnknownVariableType] - trio is absent

from pulse_temporal.cli.connection import PROFILE, find_profile
from pulse_temporal.cli.dev_app import find_app, loading_problem
from pulse_temporal.cli.dev_flows import keep_applied
from pulse_temporal.cli.dev_worker import DevWorker
from pulse_temporal.cli.exits import Exit, UsageError
from pulse_temporal.cli.flow_files import SUFFIXES
from pulse_temporal.cli.local_pages import local_pages
from pulse_temporal.cli.logs import log_file
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Facts, Output
from pulse_temporal.cli.paragraphs import printable
from pulse_temporal.clock import utc_now
from pulse_temporal.embedded import EmbeddedServices, embedded_services
from pulse_temporal.embedded.folder import is_running, make_folder
from pulse_temporal.engine.facade import Engine, create_engine

Flag = Annotated[bool, Parameter(negative=())]
DATA = ".pulse"
FLOWS = "flows"
TENANT = "dev"
IGNORED = (*DefaultFilter.ignore_dirs, DATA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Where ``pulse dev`` works.

    Attributes:
        folder: Of the application.
        data: For the servers.
        app: ``module:function``.
        tenant: Whom flows belong to that name nobody.
    """

    folder: Path
    data: Path
    app: str
    tenant: str


def dev(
    app: str = "",
    /,
    *,
    ephemeral: Flag = False,
    reset: Flag = False,
    reload: Annotated[bool, Parameter(negative="--no-reload")] = True,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Start Postgres, Temporal and a worker for the application in this folder, until Ctrl-C.

    The worker is started again when a .py file changes, and the definitions in flows/ are
    applied. Other commands in this folder find the servers by themselves. A second pulse dev in
    the folder only says where the first one is.

    Parameters
    ----------
    app:
        package.module:function; without it, the one that this folder has.
    ephemeral:
        Keep no data.
    reset:
        Throw the data of earlier times away first.
    reload:
        Start the worker again when code changes.
    """
    out = Output(options)
    folder = Path.cwd()
    if _is_here_already(out, folder):
        return Exit.OK
    found = find_app(folder, app)
    if reset:
        _throw_away(out, folder / DATA)
    with tempfile.TemporaryDirectory(prefix="pulse-dev-", ignore_cleanup_errors=True) as made:
        if ephemeral and os.geteuid() == 0:
            Path(made).chmod(0o711)
        data = Path(made) if ephemeral else make_folder(folder / DATA)
        stand = Stand(folder=folder, data=data, app=found, tenant=options.tenant or TENANT)
        with log_file(data / "dev.log"):
            asyncio.run(_serve(out, stand, reload=reload))
    return Exit.OK


def _is_here_already(out: Output, folder: Path) -> bool:
    profile = find_profile(folder)
    if profile is None or not profile.pid or not is_running(profile.pid):
        return False
    out.line(f"pulse dev runs here already, as process {profile.pid}.")
    if profile.pages:
        out.facts({"Pages": profile.pages})
    out.facts({"Temporal": profile.temporal_address, "Postgres": profile.database_url})
    return True


def _throw_away(out: Output, data: Path) -> None:
    if data.is_dir():
        out.confirm(f"Delete all data in {data}?")
        try:
            shutil.rmtree(data)
        except OSError as error:
            raise UsageError(f"{data} cannot be deleted: {error}") from error


async def _serve(out: Output, stand: Stand, *, reload: bool) -> None:
    """Run everything until Ctrl-C, SIGTERM or SIGHUP."""
    ended = asyncio.Event()
    for number in (SIGINT, SIGTERM, SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, _ask_to_end, ended)
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        out.note("Starting Postgres and Temporal ...")
        services = await stack.enter_async_context(
            embedded_services(stand.data, durable=stand.data.name == DATA)
        )
        place = stack.enter_context(local_pages())
        url = place.url if place else ""
        engine = create_engine(
            services.dsn,
            services.temporal_address,
            unregistered_signals="accept",
            pages_url=url,
        )
        stack.push_async_callback(engine.stop)
        await engine.migrate()
        await engine.start(worker=False)
        pages = place.of(engine, services.temporal_ui) if place else None
        await stack.enter_async_context(_profile(stand, services, pages=url))
        worker = DevWorker(
            stand.app,
            stand.folder,
            {
                "DATABASE_URL": services.dsn,
                "TEMPORAL_ADDRESS": services.temporal_address,
                "PULSE_PAGES_URL": url,
            },
            tell=_teller(out),
        )
        out.line()
        seconds = time.monotonic() - began
        _print_title(out, f"ready in {seconds:.1f} s")
        out.facts(_facts(stand, services, pages=url, reload=reload))
        out.line()
        async with asyncio.TaskGroup() as group:
            flows = keep_applied(stand.folder / FLOWS, stand.tenant, engine, tell=_teller(out))
            tasks = [group.create_task(worker.run()), group.create_task(flows)]
            serving = group.create_task(pages.serve()) if pages else None
            if reload:
                tasks.append(group.create_task(_watch(out, stand, engine, worker)))
            await ended.wait()
            out.note("Stopping ...")
            if pages and serving:
                pages.stop()
                await serving
            await worker.stop()
            for task in tasks:
                task.cancel()


def _ask_to_end(ended: asyncio.Event) -> None:
    """End in good order; when asked again, at once: the watchdogs stop the servers."""
    if ended.is_set():
        os._exit(Exit.INTERRUPTED)
    ended.set()


@asynccontextmanager
async def _profile(
    stand: Stand, services: EmbeddedServices, *, pages: str
) -> AsyncGenerator[None]:
    """Leave word in the folder where the servers are, inside the block."""
    path = stand.folder / PROFILE
    make_folder(path.parent)
    facts = {
        "database_url": services.dsn,
        "temporal_address": services.temporal_address,
        "tenant": stand.tenant,
        "pages": pages,
    }
    lines = [f"{name} = {_toml(value)}\n" for name, value in facts.items()]
    path.write_text("".join([*lines, f"pid = {os.getpid()}\n"]), encoding="utf-8")
    path.chmod(0o600)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _print_title(out: Output, state: str) -> None:
    title = f" {version('pulse-workflows')}  dev   {state}"
    out.line(Text.assemble(("Pulse", "bold"), title))


def _facts(stand: Stand, services: EmbeddedServices, *, pages: str, reload: bool) -> Facts:
    """Return what the banner says."""
    kept = f"{DATA}/ is kept; --reset throws it away"
    return {
        "Pages": pages or "not here: they need the extra [web]",
        "Temporal": f"{services.temporal_address}  {services.temporal_ui or ''}".strip(),
        "Postgres": f"{services.postgres.major}  {services.psql}",
        "App": stand.app,
        "Worker": f"reload {'on' if reload else 'off'}",
        "Flows": f"{FLOWS}/  tenant {stand.tenant}",
        "Data": kept if stand.data.name == DATA else "thrown away at the end",
        "Try": "in another terminal here: pulse emit TYPE --wait, pulse runs list",
    }


def _say(out: Output, line: str) -> None:
    out.line(Text.assemble((f"{utc_now().astimezone():%H:%M:%S} ", "dim"), printable(line)))


async def _watch(out: Output, stand: Stand, engine: Engine, worker: DevWorker) -> None:
    """Start the worker again when code changes, and apply the flows when they change."""
    async for changes in awatch(stand.folder, watch_filter=DefaultFilter(ignore_dirs=IGNORED)):
        paths = [Path(path) for _, path in changes]
        if any(path.suffix == ".py" for path in paths):
            await _reload(out, stand, worker)
        flows = stand.folder / FLOWS
        if any(path.suffix in SUFFIXES and path.is_relative_to(flows) for path in paths):
            await keep_applied(stand.folder / FLOWS, stand.tenant, engine, tell=_teller(out))


async def _reload(out: Output, stand: Stand, worker: DevWorker) -> None:
    problem = await loading_problem(stand.app, stand.folder)
    if not problem:
        _say(out, "reload   code has changed")
        await worker.restart()
        return
    _say(out, "reload   the application cannot be loaded; the worker goes on as it is:")
    for line in problem.splitlines():
        _say(out, f"         {line}")


def _teller(out: Output) -> Callable[[str], None]:
    return lambda line: _say(out, line)
