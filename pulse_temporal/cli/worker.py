"""``pulse worker``: run handlers until told to stop."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from pulse_temporal.cli.exits import Exit
from pulse_temporal.engine.service import run_worker


def worker(
    app: Annotated[str, Parameter(env_var="PULSE_APP")] = "",
    *,
    migrate: bool = True,
) -> int:
    """Run the handlers of an application, and everything that keeps runs going.

    SIGTERM and Ctrl-C stop in good order, a second one at once. Settings come from the
    environment: DATABASE_URL, TEMPORAL_* or temporal.toml, PULSE_*. Exit codes: 0 stopped, 1 told
    twice, 2 a setting is wrong, 3 Postgres is out of reach.

    Parameters
    ----------
    app:
        The function that registers signals and handlers, as package.module:function.
    migrate:
        Create or update the tables first; safe from many processes at once.
    """
    if not app:
        sys.stderr.write(
            "pulse worker: name the application: pulse worker myapp.workflows:register, "
            "or set PULSE_APP.\n"
        )
        return Exit.USAGE
    return run_worker(app, migrate=migrate)
