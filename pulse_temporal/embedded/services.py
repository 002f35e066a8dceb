"""Start and stop Postgres and Temporal together, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pulse_temporal.embedded.postgres import PostgresServer, embedded_postgres
from pulse_temporal.embedded.temporal_server import TemporalServer, embedded_temporal
from pulse_temporal.errors import EmbeddedServiceError


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedServices:
    """The servers that run in this block.

    Attributes:
        postgres: The Postgres server.
        temporal: The Temporal server; None when it was not asked for.
    """

    postgres: PostgresServer
    temporal: TemporalServer | None

    @property
    def dsn(self) -> str:
        """Connection string of Postgres, for asyncpg and libpq."""
        return self.postgres.dsn

    @property
    def psql(self) -> str:
        """Command line that opens a terminal session in Postgres."""
        return self.postgres.psql

    @property
    def temporal_address(self) -> str:
        """``host:port`` of Temporal.

        Raises:
            EmbeddedServiceError: Temporal was not asked for.
        """
        if self.temporal is None:
            raise EmbeddedServiceError("Temporal was not started here: temporal=False was given.")
        return self.temporal.address

    @property
    def temporal_ui(self) -> str | None:
        """URL of Temporal's web pages; None when there are none."""
        return None if self.temporal is None else self.temporal.ui


@asynccontextmanager
async def embedded_services(
    folder: Path | str,
    *,
    durable: bool = True,
    temporal: bool = True,
    ui: bool = True,
    temporal_port: int | None = None,
    postgres_port: int | None = None,
) -> AsyncGenerator[EmbeddedServices]:
    """Run a local Postgres and a local Temporal inside the block.

    Both have answered a call when the block begins: after about a second the first time, half
    a second later on. They stop with the block, and with this process, however that ends. Linux
    and macOS only.

    Args:
        folder: For data and logs, usually ``.pulse``. Made when missing; kept between runs;
            used by one process at a time.
        durable: False is for tests: Postgres syncs nothing, Temporal lives in memory.
        temporal: False starts Postgres alone.
        ui: Serve Temporal's web pages.
        temporal_port: As ``port`` of ``embedded_temporal``.
        postgres_port: As ``port`` of ``embedded_postgres``.

    Raises:
        EmbeddedServiceError: A program is missing, the folder is in use, or a server does
            not start; the message has the end of its log.
    """
    # A stack for each, as they are entered at the same time; what one has started is closed even
    # if the other fails (tests/embedded/test_services.py::one_failure_stops_the_other_server).
    postgres_stack, temporal_stack = AsyncExitStack(), AsyncExitStack()
    postgres_block = embedded_postgres(folder, durable=durable, port=postgres_port)
    temporal_block = embedded_temporal(folder, durable=durable, ui=ui, port=temporal_port)
    try:
        try:
            async with asyncio.TaskGroup() as group:
                first = group.create_task(postgres_stack.enter_async_context(postgres_block))
                second = (
                    group.create_task(temporal_stack.enter_async_context(temporal_block))
                    if temporal
                    else None
                )
        except ExceptionGroup as failures:
            error, *others = failures.exceptions
            for other in others:
                error.add_note(str(other))
            raise error from None
        yield EmbeddedServices(
            postgres=first.result(), temporal=None if second is None else second.result()
        )
    finally:
        await asyncio.gather(postgres_stack.aclose(), temporal_stack.aclose())
