"""Let workers, Postgres and Temporal die under load for a while; then count what is wrong.

    python -m tests.chaos --seconds 60 --seed 7        (or: make chaos ARGS='--seed 7')

It starts servers of its own, three workers and an application that emits, cancels, retries and
replays. A nemesis kills and disturbs all of them. Then everything is healed, all runs get the
time to end, and the audit begins. Stderr tells the story, with the seed first; stdout gets one
line. The exit status is 0 only if every count in it is zero.

The same seed draws the same operations and the same faults at the same moments; what meets what
is up to the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from pulse_temporal.clock import utc_now
from tests.chaos import emitter, worker
from tests.chaos.audit import audit_postgres, audit_sessions, calls
from tests.chaos.comparison import audit_temporal, mirrored_runs, open_workflows, replay_all
from tests.chaos.findings import Finding, verdict
from tests.chaos.journal import Journal
from tests.chaos.nemesis import Nemesis, Tally
from tests.chaos.processes import Crew, Member
from tests.chaos.servers import Servers, running_servers
from tests.chaos.stage import Errand
from tests.chaos.workload import TABLES, define, make_engine

TIMELINES = 12
GLANCE_SECONDS = 0.5
UNFINISHED = """
SELECT (SELECT count(*) FROM pulse_outbox) + (
    SELECT count(*) FROM pulse_workflow_runs
    WHERE status NOT IN ('completed', 'failed', 'canceled')
)
"""


class Chaos:
    """One run of it.

    Attributes:
        options: The command line.
        folder: Data, logs, the journal and the effects.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.journal = Journal(folder / "journal")
        self._began = time.monotonic()

    async def run(self) -> bool:
        """Do it all, print the verdict, and say whether all is well."""
        chance = random.Random(f"rest {self.options.seed}")  # noqa: S311 - no secret
        async with running_servers(self.folder, chance) as servers:
            await self._prepare(servers)
            crew = self._crew(servers, chance)
            async with crew:
                tally = await self._rage(crew, servers)
                findings = await self._calm_down(crew, servers)
            findings += [Finding("drift", "process", line) for line in crew.surprises]
            findings += await self._audit(servers)
            runs = len(await mirrored_runs(servers.postgres.dsn))
            await self._explain(findings, servers)
        sys.stdout.write(f"{runs} runs, {tally.line()}: {verdict(findings)}\n")
        return not findings

    async def _prepare(self, servers: Servers) -> None:
        dsn = servers.postgres.dsn
        engine = make_engine(dsn, servers.temporal.address, self.folder / "effects")
        await engine.migrate()
        await define(engine)
        await engine.stop()
        connection = await asyncpg.connect(dsn)
        await connection.execute(TABLES)
        await connection.close()

    def _crew(self, servers: Servers, chance: random.Random) -> Crew:
        errand = Errand(
            folder=self.folder,
            dsn=servers.postgres.proxied_dsn,
            address=servers.temporal.proxy.address,
            seed=self.options.seed,
            rate=self.options.rate,
        )
        workers = [
            Member(f"worker-{number}", worker.work, errand, chance=chance)
            for number in range(self.options.workers)
        ]
        application = Member("emitter", emitter.work, errand, chance=chance)
        return Crew(workers, application, folder=self.folder)

    async def _rage(self, crew: Crew, servers: Servers) -> Tally:
        nemesis = Nemesis(self.options.seed, crew, servers, tell=self._tell)
        self._tell(f"chaos for {self.options.seconds} s, seed {self.options.seed}")
        await nemesis.rage(seconds=self.options.seconds)
        weather = ", ".join(f"{count} {kind}" for kind, count in nemesis.tally.weather.items())
        self._tell(f"healed after {nemesis.tally.line()}; {weather}")
        return nemesis.tally

    async def _calm_down(self, crew: Crew, servers: Servers) -> list[Finding]:
        """Emit no more, let everything end, look at what is still open, let the workers go."""
        await crew.all_ready()
        await crew.dismiss([crew.emitter])
        deadline = time.monotonic() + self.options.patience
        for what, rest in (
            ("runs and commands", self._unfinished),
            ("workflows", self._still_open),
        ):
            while (left := await rest(servers)) and time.monotonic() < deadline:  # noqa: ASYNC110 - servers send no event
                await asyncio.sleep(GLANCE_SECONDS)
            self._tell(f"{left} {what} are left")
        findings = await audit_sessions(servers.postgres.dsn)
        await crew.dismiss(crew.workers)
        return findings

    async def _unfinished(self, servers: Servers) -> int:
        connection = await asyncpg.connect(servers.postgres.dsn)
        try:
            return await connection.fetchval(UNFINISHED)
        finally:
            await connection.close()

    async def _still_open(self, servers: Servers) -> int:
        return len(await open_workflows(await self._client(servers)))

    async def _client(self, servers: Servers) -> Client:
        return await Client.connect(
            servers.temporal.address, data_converter=pydantic_data_converter
        )

    async def _audit(self, servers: Servers) -> list[Finding]:
        dsn = servers.postgres.dsn
        entries = self.journal.read()
        effects = self.folder / "effects"
        found = await audit_postgres(dsn, entries=entries, effects=effects)
        client = await self._client(servers)
        found += await audit_temporal(dsn, client)
        count, failures = await replay_all(client)
        made = list(calls(effects))
        self._tell(
            f"{len(entries)} entries in the journal, {count} histories replayed, "
            f"{len(made) - len(set(made))} of {len(made)} plain effects happened again"
        )
        return found + failures

    async def _explain(self, findings: list[Finding], servers: Servers) -> None:
        """Tell everything that was found, with the timelines of the first runs concerned."""
        for finding in findings:
            self._tell(finding.line())
        run_ids = dict.fromkeys(finding.run_id for finding in findings if finding.run_id)
        engine = make_engine(
            servers.postgres.dsn, servers.temporal.address, self.folder / "effects"
        )
        for run_id in list(run_ids)[:TIMELINES]:
            self._tell(f"timeline of {run_id}")
            for entry in await engine.get_run_timeline(run_id):
                at = entry.timestamp.strftime("%H:%M:%S.%f")[:-3]
                where = f"{entry.path or '':8} {entry.step_name or ''}"
                sys.stderr.write(f"    {at} {entry.type:14} {where} {entry.detail or ''}\n")
        await engine.stop()

    def _tell(self, line: str) -> None:
        at = utc_now().strftime("%H:%M:%S.%f")[:-3]
        sys.stderr.write(f"{at} {time.monotonic() - self._began:6.1f} s  {line}\n")
        sys.stderr.flush()


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it rages")
    parser.add_argument("--seed", type=int, default=None, help="of everything that is drawn")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--rate", type=float, default=5.0, help="operations begun in a second")
    parser.add_argument("--patience", type=float, default=150.0, help="seconds to end all runs")
    parser.add_argument("--keep", action="store_true", help="keep the folder in any case")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    return options


def main() -> int:
    """Run it in a folder of its own, which is kept when something was found."""
    options = parse()
    sys.stderr.write(f"seed {options.seed}\n")
    folder = Path(tempfile.mkdtemp(prefix="pulse-chaos-"))
    folder.chmod(0o755)  # Postgres may run as another user
    is_well = False
    try:
        is_well = asyncio.run(Chaos(options, folder).run())
    finally:
        if is_well and not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            sys.stderr.write(f"data and logs are in {folder}\n")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
