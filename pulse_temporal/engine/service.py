"""Run a worker as a process of its own: load the application, work until told to stop."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable

from pulse_temporal.engine.facade import Engine, engine_from_environment
from pulse_temporal.errors import ConfigurationError, PostgresUnavailableError, PulseError

log: logging.Logger = logging.getLogger(__name__)

STOPPED, TOLD_TWICE, WRONG_SETTING, NO_POSTGRES = range(4)
"""Exit codes of a worker process."""

Register = Callable[[Engine], object]


def run_worker(app: str | Register, *, migrate: bool = True) -> int:
    """Run a worker process until SIGTERM or SIGINT, and return its exit code.

    Settings come from the environment, as ``engine_from_environment`` reads them. A signal lets
    running handlers finish within ``shutdown_grace``; a second one ends the process at once. The
    log goes to standard error unless the application has set up logging.

    Args:
        app: A function that is given the engine and registers signals and handlers, or where it
            is: ``package.module:function``. The module is looked for in the working directory
            too; without a function's name, ``register`` is called.
        migrate: Create or update the tables first; safe from many processes at once.

    Returns:
        0 stopped in good order, 2 a setting or ``app`` is wrong, 3 Postgres is out of reach.
        A second signal ends the process with 1.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # It tells of each shutdown with a grace that is not the engine's; ours is told below.
    logging.getLogger("temporalio.worker._worker").setLevel(logging.WARNING)
    try:
        register = load_register(app) if isinstance(app, str) else app
        asyncio.run(_work(register, migrate=migrate))
    except PulseError as error:
        log.error("%s", error)  # noqa: TRY400 - the text says it all
        is_away = isinstance(error, PostgresUnavailableError)
        return NO_POSTGRES if is_away else WRONG_SETTING
    return STOPPED


def load_register(target: str) -> Register:
    """Import the function that registers an application's handlers.

    Raises:
        ConfigurationError: There is no such module or function. What the module itself raises
            passes through, with its traceback.
    """
    module_name, _, name = target.partition(":")
    expected = "expected package.module:function, a function that takes the engine"
    if "" not in sys.path:
        sys.path.insert(0, "")  # a console script does not look in the working directory
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:  # ValueError: an empty name
        raise ConfigurationError(
            f"The application {target!r} cannot be loaded: {error}; {expected}."
        ) from error
    found: object = getattr(module, name or "register", None)
    if not callable(found):
        what = "has no" if found is None else "has no callable"
        raise ConfigurationError(
            f"The application {target!r} cannot be loaded: {module_name} {what} "
            f"{name or 'register'!r}; {expected}."
        )
    return found


async def _work(register: Register, *, migrate: bool) -> None:
    """Start the engine, and stop it when the process is told to."""
    engine = engine_from_environment()
    register(engine)
    if not engine.registry.actions and not engine.registry.conditions:
        log.warning(
            "The application registers no action and no condition: this worker relays signals "
            "and interprets runs, but can do no step of theirs."
        )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _ask_to_stop, stop)
    if migrate:
        await engine.migrate()
    async with engine:
        await stop.wait()
        log.info("Stopping: running handlers have %s to finish.", engine.options.shutdown_grace)


def _ask_to_stop(stop: asyncio.Event) -> None:
    """Stop in good order; when asked again, at once."""
    if stop.is_set():
        os._exit(TOLD_TWICE)
    stop.set()
