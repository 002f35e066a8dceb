"""Run a local Postgres and a local Temporal dev server, without Docker or an installation.

Their programs come from the extra ``[embedded]``, from the system, or from ``PULSE_PG_BIN`` and
``PULSE_TEMPORAL_BIN``. Linux and macOS only.
"""

from __future__ import annotations

import sys

from pulse_temporal.errors import EmbeddedServiceError

if sys.platform == "win32":
    raise EmbeddedServiceError(
        "The embedded servers run on Linux and macOS. On Windows use WSL, or name your own"
        " servers with DATABASE_URL and TEMPORAL_ADDRESS."
    )

from pulse_temporal.embedded.postgres import PostgresServer, embedded_postgres
from pulse_temporal.embedded.scratch import scratch_database
from pulse_temporal.embedded.services import EmbeddedServices, embedded_services
from pulse_temporal.embedded.temporal_server import TemporalServer, embedded_temporal
from pulse_temporal.embedded.time_skipping import embedded_test_server

__all__ = [
    "EmbeddedServices",
    "PostgresServer",
    "TemporalServer",
    "embedded_postgres",
    "embedded_services",
    "embedded_temporal",
    "embedded_test_server",
    "scratch_database",
]
