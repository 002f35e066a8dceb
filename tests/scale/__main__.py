"""Load a long history and a short one, ask both the same, and show what got slower.

    make scale                              1 000 000 runs: ten minutes, 12 GB of disk
    make scale ARGS='--runs 100000'         two minutes

Both databases are of one Postgres of its own, and each sample of one is followed by a sample of
the other: compare the ratios, not the times of two runs. Nothing is synced to disk, so that no
disk hides what a statement costs; and what fits into the shared buffers is there at the start.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import asyncpg

from pulse_temporal.embedded import embedded_postgres
from tests.conftest import dsn_of, run_sql
from tests.scale.compare import Comparison, compare
from tests.scale.load import History, load
from tests.scale.questions import reads, subject, writes

SHORT_RUNS = 10_000
FEW_DEFINITIONS = 100
SETTINGS = ("max_wal_size = '16GB'", "checkpoint_timeout = '1h'", "autovacuum = off")
"""No checkpoint and no vacuum of the one database falls into the samples of the other."""

BUFFERS_OF_MEMORY = 4
"""A quarter of the memory for shared buffers, as Postgres' manual advises for a server."""

WARM = """
SELECT pg_prewarm(c.oid) FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i')
ORDER BY pg_relation_size(c.oid) DESC
"""
"""Into the buffers, the smallest last: they stay there when there is no room for all."""

Group = Mapping[str, Comparison]


async def measure(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Load, ask and print; give everything as JSON."""
    seed: int = options.seed
    short = History(SHORT_RUNS, FEW_DEFINITIONS, seed)
    long = History(options.runs, options.definitions, seed)
    wide = History(SHORT_RUNS, options.definitions, seed)
    found: dict[str, object] = {
        "python": platform.python_version(),
        "seed": seed,
        "samples": options.samples,
        "rounds": options.rounds,
        "histories": {"short": asdict(short), "long": asdict(long), "wide": asdict(wide)},
    }
    async with server(folder) as dsn:
        dsns = {history: await loaded(dsn, history) for history in (short, wide, long)}
        found["size"] = await sizes(dsns[long])
        for each in (long, wide, short):
            await run_sql(dsns[each], f"CREATE EXTENSION IF NOT EXISTS pg_prewarm; {WARM}")
        for name, histories, kinds in (
            (f"{long.runs} runs ÷ {short.runs} runs", (short, long), (writes, reads)),
            (f"{wide.definitions} definitions ÷ {short.definitions}", (short, wide), (writes,)),
        ):
            async with (
                subject(dsns[histories[0]], histories[0], seed=seed) as one,
                subject(dsns[histories[1]], histories[1], seed=seed) as other,
            ):
                asked = [
                    {question: ask for kind in kinds for question, ask in kind(at).items()}
                    for at in (one, other)
                ]
                group = await compare(*asked, samples=options.samples, rounds=options.rounds)
            report(name, group)
            found[name] = {question: each.figures() for question, each in group.items()}
    return found


@asynccontextmanager
async def server(folder: Path) -> AsyncGenerator[str]:
    """Run a Postgres on a folder, with the memory that a server is given."""
    buffers = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // BUFFERS_OF_MEMORY
    async with embedded_postgres(folder, durable=False) as postgres:
        for setting in (*SETTINGS, f"shared_buffers = '{buffers // 2**20}MB'"):
            await run_sql(postgres.dsn, f"ALTER SYSTEM SET {setting}")
    async with embedded_postgres(folder, durable=False) as postgres:
        yield postgres.dsn


async def loaded(dsn: str, history: History) -> str:
    """Return the DSN of a database with a history; one that an earlier call made does too."""
    name = f"runs_{history.runs}_{history.definitions}_{history.seed}"
    connection = await asyncpg.connect(dsn)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            say(f"loading {history.runs} runs, {history.definitions} definitions ...")
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}_new"')
            await connection.execute(f'CREATE DATABASE "{name}_new"')
            await load(dsn_of(dsn, f"{name}_new"), history)
            await connection.execute(f'ALTER DATABASE "{name}_new" RENAME TO "{name}"')
    finally:
        await connection.close()
    return dsn_of(dsn, name)


async def sizes(dsn: str) -> dict[str, dict[str, int]]:
    """Print and give rows and bytes of each table."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT relname, reltuples::bigint AS rows, pg_table_size(oid) AS table_bytes,"
            " pg_indexes_size(oid) AS index_bytes FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples > 0"
            " ORDER BY pg_total_relation_size(oid) DESC"
        )
    finally:
        await connection.close()
    say(f"\n{'table':<32}{'rows':>12}{'table MB':>10}{'index MB':>10}")
    for row in rows:
        table, index = row["table_bytes"] / 1e6, row["index_bytes"] / 1e6
        say(f"{row['relname']:<32}{row['rows']:>12}{table:>10.0f}{index:>10.0f}")
    return {
        row["relname"]: {name: row[name] for name in ("rows", "table_bytes", "index_bytes")}
        for row in rows
    }


def report(name: str, group: Group) -> None:
    """Print a table of one comparison."""
    say(f"\n{name:<38}{'p50 ms':>18}{'p95 ms':>18}{'ratio p50':>11}{'ratio p95':>11}")
    for question, each in group.items():
        p50 = f"{each.small(0.5):.2f} → {each.large(0.5):.2f}"
        p95 = f"{each.small(0.95):.2f} → {each.large(0.95):.2f}"
        say(f"{question:<38}{p50:>18}{p95:>18}{each.ratio(0.5):>11.2f}{each.ratio(0.95):>11.2f}")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="of the long history")
    parser.add_argument("--definitions", type=int, default=100_000, help="of the long history")
    parser.add_argument("--samples", type=int, default=100, help="a question, database and round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1, help="decides what is loaded and asked")
    parser.add_argument("--folder", type=Path, help="keep the databases here for another time")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    options = parser.parse_args()
    if options.folder:
        found = asyncio.run(measure(options.folder, options))
    else:
        with tempfile.TemporaryDirectory(prefix="pulse-scale-", ignore_cleanup_errors=True) as at:
            found = asyncio.run(measure(Path(at), options))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
