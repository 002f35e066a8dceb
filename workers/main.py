"""Run a worker: options from the environment, handlers from the application.

``PULSE_APP`` names a function that registers handlers, as ``package.module:function``. It is
required: a worker must not call handlers that nobody has chosen. ``pulse worker`` does the same
where the command line is installed.
"""

from __future__ import annotations

import os
import sys

from pulse_temporal import run_worker


def main() -> int:
    """Run the worker and return the process's exit code."""
    app = os.environ.get("PULSE_APP")
    if not app:
        sys.stderr.write(
            "PULSE_APP is not set. It names the function that registers your handlers, for "
            "example PULSE_APP=myapp.workflows:register.\n"
        )
        return 2
    return run_worker(app)


if __name__ == "__main__":
    sys.exit(main())
