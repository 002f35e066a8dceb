"""The command ``pulse``.

Results go to standard output, progress and errors to standard error; ``exits.py`` lists the exit
codes. Each command is a module that is imported when it is called: ``pulse version`` must not
wait for Temporal's SDK.
"""

from __future__ import annotations

import sys

try:
    from pulse_temporal.cli.app import main
except ModuleNotFoundError as missing:
    # Any other missing module is a bug, and must not be told as a missing extra.
    if (missing.name or "").partition(".")[0] not in {"cyclopts", "rich"}:
        raise

    def main() -> int:
        """Print what to install, and return exit code 1."""
        sys.stderr.write("pulse needs cyclopts and rich: install Pulse with its extra [cli].\n")
        return 1


__all__ = ["main"]
