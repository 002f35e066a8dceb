"""What a run takes of each server: rows, bytes, connections, CPU, memory."""

from __future__ import annotations

from random import Random

import asyncpg
from temporalio.client import Client

from pulse_temporal.embedded import EmbeddedServices
from tests.bench.contenders import PULSE, SHORT, pulse_contenders
from tests.bench.history import executions_of
from tests.bench.measure import one_round
from tests.bench.processes import memory_mib, own_mib
from tests.bench.results import Found, Row, Size, servers_of

TABLES = """
SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = 'public' AND c.relname LIKE 'pulse\\_%'
"""
WAL = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


async def sizing(services: EmbeddedServices, dsn: str, size: Size, random: Random) -> Found:
    """Measure what a run of three steps leaves behind, and what it took meanwhile."""
    del random  # one contender after the other: what they leave behind is told apart
    postgres, *temporal = servers_of(services)
    client = await Client.connect(services.temporal_address)
    connection = await asyncpg.connect(dsn)
    rows: list[Row] = []
    try:
        async with pulse_contenders(services.temporal_address, dsn) as pulse:
            for name in (PULSE, SHORT):
                run_id = await pulse[name].run()
                before, wal = await stored(connection), await written(connection)
                number = size.runs * 2
                measured = await one_round(
                    pulse[name].run,
                    number=number,
                    in_flight=size.in_flight,
                    servers=[postgres, *temporal],
                )
                wal_after, after = await written(connection), await stored(connection)
                left = await executions_of(client, run_id)
                rows.append(
                    {
                        "three steps": name,
                        "runs/s": measured.per_second,
                        "worker CPU ms": measured.own_cpu_ms,
                        "server CPU ms": measured.server_cpu_ms,
                        "Postgres rows": (sum(after[0].values()) - sum(before[0].values()))
                        / number,
                        "Postgres KiB": (after[1] - before[1]) / number / 1024,
                        "WAL KiB": (wal_after - wal) / number / 1024,
                        "history events": left.events,
                        "history KiB": left.kib,
                        "connections": await connection.fetchval(CONNECTIONS),
                        "worker MiB": own_mib(),
                        "Temporal MiB": memory_mib(temporal),
                        "Postgres MiB": memory_mib([postgres]),
                    }
                )
    finally:
        await connection.close()
    return Found(tables={"sizing": rows})


async def stored(connection: asyncpg.Connection) -> tuple[dict[str, int], int]:
    """Return the rows of each table of Pulse, and the bytes of all, packed, with their indexes."""
    for table in await connection.fetch(TABLES):
        await connection.execute(f'VACUUM FULL "{table["name"]}"')
    tables = await connection.fetch(TABLES)
    counts = {
        table["name"]: int(await connection.fetchval(f'SELECT count(*) FROM "{table["name"]}"'))  # noqa: S608 - names of our own tables
        for table in tables
    }
    return counts, sum(int(table["bytes"]) for table in tables)


async def written(connection: asyncpg.Connection) -> int:
    """Return how many bytes this Postgres has written into its log."""
    return int(await connection.fetchval(WAL))
