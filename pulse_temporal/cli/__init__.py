"""``pulse …`` in the terminal.

Results go to standard output, progress and errors to standard error; ``exits.py`` lists the exit
codes. A command is one module and is imported when it is called: ``pulse version`` must not wait
for Temporal's SDK.
"""

from __future__ import annotations

import sys

try:
    from pulse_temporal.cli.app import main
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] not in {"cyclopts", "rich"}:
        raise

    def main() -> int:
        """Say what to install."""
        sys.stderr.write("pulse needs cyclopts and rich: install Pulse with its extra [cli].\n")
        return 1


__all__ = ["main"]
