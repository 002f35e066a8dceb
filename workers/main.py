"""Run a worker: options from the environment, handlers from the application.

``PULSE_APP`` names a function that registers handlers, as ``package.module:function``;
``DATABASE_URL`` names Postgres; Temporal's address and credentials come from ``TEMPORAL_*`` or
``temporal.toml``; ``PULSE_<OPTION>`` sets any option of the engine. SIGTERM and SIGINT stop the
worker in good order, a second one at once. Exit codes: 0 stopped, 2 wrong settings, 3 Postgres
is out of reach.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable

from pulse_temporal import (
    ConfigurationError,
    Engine,
    PostgresUnavailableError,
    PulseError,
    engine_from_environment,
)

DEFAULT_APP = "workers.handlers_example:register"
log = logging.getLogger("pulse.worker")


def load_register(target: str) -> Callable[[Engine], object]:
    """Import the function that registers the application's handlers.

    Raises:
        ConfigurationError: There is no such module or function.
    """
    module_name, _, name = target.partition(":")
    try:
        found: object = getattr(importlib.import_module(module_name), name or "register")
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"PULSE_APP={target!r} cannot be loaded: {error}") from error
    if not callable(found):
        raise ConfigurationError(f"PULSE_APP={target!r} is not a function.")
    return found


async def work(register: Callable[[Engine], object]) -> None:
    """Migrate, then work until the process is told to stop."""
    engine = engine_from_environment()
    register(engine)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop, stop)
    await engine.migrate()
    async with engine:
        log.info("working", extra={"task_queue": engine.options.task_queue})
        await stop.wait()
        log.info("stopping")


def ask_to_stop(stop: asyncio.Event) -> None:
    """Stop in good order; when asked again, at once."""
    if stop.is_set():
        os._exit(1)
    stop.set()


def main() -> int:
    """Run the worker and give the process's exit code."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    sys.path.insert(0, "")
    try:
        asyncio.run(work(load_register(os.environ.get("PULSE_APP", DEFAULT_APP))))
    except PostgresUnavailableError as error:
        log.error("%s", error)  # noqa: TRY400 - the text says it all
        return 3
    except PulseError as error:
        log.error("%s", error)  # noqa: TRY400 - the text says it all
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
