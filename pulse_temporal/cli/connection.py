"""Where commands find Pulse: the environment, or what ``pulse dev`` has left in the folder."""

from __future__ import annotations

import asyncio
import getpass
import os
import tomllib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

from pulse_temporal.cli.exits import UsageError
from pulse_temporal.cli.logs import no_log
from pulse_temporal.cli.options import GlobalOptions
from pulse_temporal.engine.facade import Engine, engine_from_environment
from pulse_temporal.engine.tenant import TenantEngine
from pulse_temporal.model.acting import Actor, acting

Answer = TypeVar("Answer")

PROFILE = Path(".pulse") / "profile.toml"
"""Written by ``pulse dev`` and removed when it ends."""


Pulse: TypeAlias = Engine | TenantEngine
"""What commands talk to: an engine, or the view of one tenant.

Whatever has their methods can join them, such as a client of a server.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The servers of a ``pulse dev`` that runs.

    Attributes:
        database_url: DSN of its Postgres.
        temporal_address: ``host:port`` of its Temporal.
        tenant: Whom its flows belong to.
        pid: Its process.
        pages: Where its pages are.
    """

    database_url: str
    temporal_address: str
    tenant: str | None = None
    pid: int | None = None
    pages: str | None = None


def find_profile(folder: Path | None = None) -> Profile | None:
    """Return the profile of the nearest folder that has one, from here upwards.

    Raises:
        UsageError: It cannot be read.
    """
    start = (folder or Path.cwd()).absolute()
    for place in (start, *start.parents):
        path = place / PROFILE
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        try:
            return Profile(**tomllib.loads(text))
        except (TypeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from error
    return None


def named_database() -> bool:
    """Return whether the environment names a database, so that no profile is looked for."""
    return bool(os.environ.get("DATABASE_URL") or os.environ.get("PULSE_DATABASE_URL"))


def connect() -> Engine:
    """Return an engine on the servers of the environment, else of a ``pulse dev`` in this folder.

    Nothing is connected yet. Signals of types that nobody has registered in this process are
    accepted: no application is loaded here.

    Raises:
        ConfigurationError: A setting is wrong.
        UsageError: Neither names a database.
    """
    if named_database():
        return engine_from_environment(unregistered_signals="accept")
    profile = find_profile()
    if profile is None:
        raise UsageError(
            "No Pulse is named. Set DATABASE_URL to its Postgres, or run this in a folder in "
            "which pulse dev runs."
        )
    return engine_from_environment(
        profile.database_url,
        os.environ.get("TEMPORAL_ADDRESS") or profile.temporal_address,
        unregistered_signals="accept",
        pages_url=profile.pages or "",
    )


def tenant_of(options: GlobalOptions) -> str | None:
    """Return the tenant that was named; of a ``pulse dev`` in this folder, its own."""
    if options.tenant is not None or named_database():
        return options.tenant
    profile = find_profile()
    return None if profile is None else profile.tenant


def require_tenant(options: GlobalOptions) -> str:
    """Return the tenant that a command writes for.

    Raises:
        UsageError: None is named.
    """
    tenant = tenant_of(options)
    if tenant is None:
        raise UsageError("Whose? Name the tenant: --tenant, or PULSE_TENANT.")
    return tenant


@asynccontextmanager
async def open_pulse(tenant: str | None) -> AsyncGenerator[Pulse]:
    """Open the engine, or the view of one tenant, inside the block."""
    engine = connect()
    try:
        yield engine if tenant is None else engine.for_tenant(tenant)
    finally:
        await engine.stop()


@asynccontextmanager
async def open_pulse_of_all() -> AsyncGenerator[Engine]:
    """Open the engine inside the block, for what concerns all tenants."""
    engine = connect()
    try:
        yield engine
    finally:
        await engine.stop()


def with_pulse(options: GlobalOptions, work: Callable[[Pulse], Awaitable[Answer]]) -> Answer:
    """Run a command's work on what its options name, and return what it gives."""

    async def run() -> Answer:
        async with open_pulse(tenant_of(options)) as pulse:
            return await work(pulse)

    with no_log(), acting(whoever_types()):
        return asyncio.run(run())


def whoever_types() -> Actor:
    """Return who is on record for what commands change."""
    return Actor(id=f"cli:{person()}", name=person())


def person() -> str:
    """Return who sits here, for versions and timelines."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"
