"""Run ``python -m pulse_temporal.cli`` as ``pulse``."""

from __future__ import annotations

import sys

from pulse_temporal.cli import main

if __name__ == "__main__":
    sys.exit(main())
