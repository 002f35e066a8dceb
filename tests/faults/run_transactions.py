"""Every transaction that changes a run, each ready to be called on a run of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count

import asyncpg

from pulse_temporal.clock import utc_now
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.logs import LogLine
from pulse_temporal.model.reconcile import Remedy, Repair
from pulse_temporal.services.care.repairs import Repairs
from pulse_temporal.services.runs.control import RunControl
from pulse_temporal.services.runs.ledger import Ledger
from pulse_temporal.services.runs.mirror import Mirror
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.services.runs.waiting import RunWaiter
from pulse_temporal.store.attempts import FailedAttempt, Succeeded
from pulse_temporal.store.claims import Claimed
from pulse_temporal.store.database import Database
from pulse_temporal.store.fence import Fence
from pulse_temporal.testing import delay, parallel
from tests.harness import TENANT, PulseTest

BOUND = timedelta(minutes=5)
INVOICES = "CREATE TABLE invoices (run_id text REFERENCES pulse_workflow_runs (id))"
_executions = count(1)


def log_line() -> LogLine:
    """Make a line that a handler has logged."""
    return LogLine(id=new_id("log"), level="info", message="seen", data=None, at=utc_now())


@dataclass(frozen=True)
class Stage:
    """A run in the midst of its work: step 0, branch b0 and the delay of b1 are under way.

    Branch b2 has begun, its step has not; b3 and step 2 are still to come.
    """

    run_id: str
    root: Fence
    first: Claimed
    in_branch: Claimed

    def branch(self, number: int) -> Fence:
        """Return what speaks for a branch of the parallel step."""
        return branch_of(self.root, number)


def branch_of(root: Fence, number: int) -> Fence:
    """Return what speaks for a branch of the parallel step 1."""
    name = f"{root.temporal_run_id}-b{number}"
    return replace(
        root,
        branch=f"1/b{number}",
        temporal_run_id=name,
        first_execution_run_id=name,
        parent_run_id=root.temporal_run_id,
        parent_first_run_id=root.first_execution_run_id,
    )


class Transactions:
    """The services of a worker process, on the tables of an engine that is not started."""

    def __init__(self, pulse: PulseTest) -> None:
        self.pulse = pulse
        self.database = Database(pulse.dsn, prefix="pulse_", timeout=timedelta(seconds=30))
        observers = Observers(self.database, RunWaiter(self.database), on_step=None, on_run=None)
        options = pulse.engine.options
        self.ledger = Ledger(self.database, observers, options, worker_id="wrk_1", clock=utc_now)
        self.mirror = Mirror(self.database, Registry(), observers, options)
        self.control = RunControl(self.database, observers)
        self.repairs = Repairs(self.database, observers, options, clock=utc_now)

    async def prepare(self, connection: asyncpg.Connection) -> None:
        """Store the definition, and a table of the application that refers to runs."""
        await connection.execute(INVOICES)
        for name in ("a", "b", "c", "d", "z"):
            self.pulse.action(name)
        block = parallel("both", ["b"], [delay("pause", 60_000)], ["c"], ["d"])
        await self.pulse.define("locks", "a", block, "z")

    async def stage(self, connection: asyncpg.Connection) -> Stage:
        """Make a run and bring it into the midst of its work."""
        (run_id,) = (await self.pulse.emit("locks")).run_ids
        await connection.execute("DELETE FROM pulse_outbox WHERE run_id = $1", run_id)
        name = f"execution-{next(_executions)}"
        root = Fence(run_id, TENANT, 1, "", name, name, None, None)
        first = await self.ledger.open(root, "0", timeout=BOUND)
        await self.mirror.start_parallel(root, "1", opens_list=False)
        in_branch = await self.ledger.open(branch_of(root, 0), "1/b0/0", timeout=BOUND)
        await self.mirror.begin(branch_of(root, 1))
        until = utc_now() + BOUND
        await self.mirror.start_delay(branch_of(root, 1), "1/b1/0", now=utc_now(), until=until)
        await self.mirror.begin(branch_of(root, 2))
        assert first is not None
        assert in_branch is not None
        return Stage(run_id, root, first, in_branch)

    async def succeed(self, stage: Stage, *, ends: bool = False, invoices: bool = False) -> None:
        """Record a result, as the last one or beside a row of the application."""
        async with self.database.transaction() as session:
            if invoices:
                await session.connection.execute("INSERT INTO invoices VALUES ($1)", stage.run_id)
            await self.ledger.succeed(
                session,
                stage.first.claim_ref,
                succeeded=Succeeded('{"n": 1}'),
                logs=[log_line()],
                ends=ends,
            )

    async def fail(self, stage: Stage) -> None:
        """Record a failed attempt."""
        failed = FailedAttempt(message="no", retryable=True)
        await self.ledger.fail(
            stage.in_branch.claim_ref, failed=failed, policy=None, logs=[log_line()]
        )

    async def fail_start(self, stage: Stage) -> None:
        """Fail a run that Temporal refuses to start."""
        await self.control.fail_unstarted(
            stage.run_id, tenant_id=TENANT, generation=1, error="refused"
        )

    async def repair(self, stage: Stage, remedy: Remedy) -> None:
        """Let the reconciler repair the run."""
        await self.repairs.apply(
            Repair(
                subject_id=stage.run_id,
                tenant_id=TENANT,
                generation=1,
                found="terminated",
                remedy=remedy,
                reason="as the test says",
            )
        )

    async def take_over(self, stage: Stage) -> None:
        """Let another execution of the same chain speak for the run."""
        other = replace(stage.root, temporal_run_id="another", is_current=True)
        await self.mirror.take_over(other)

    async def close_branch(self, stage: Stage) -> None:
        """Fail what is open below the parallel step."""
        await self.mirror.finish_parallel(stage.root, "1", error="no", ends_run=False)

    async def retry(self, stage: Stage) -> None:
        """Retry the run once it has failed."""
        await self.mirror.finish_run(stage.root, error="no")
        await self.control.retry(stage.run_id, tenant_id=TENANT, reason=None, by=None)

    async def record_cancel(self, stage: Stage) -> None:
        """Make a cancel final that came from Temporal."""
        await self.control.record_cancel(
            stage.run_id, tenant_id=TENANT, generation=1, reason="asked", tell_temporal=True
        )

    async def outcome(self, stage: Stage) -> None:
        """Ask how a step stands whose record was refused."""
        await self.ledger.standing(stage.root, "0")

    def all(self) -> Mapping[str, Callable[[Stage], Awaitable[object]]]:
        """Return every transaction by name."""
        ledger, mirror, later = self.ledger, self.mirror, utc_now() + BOUND
        return {
            "begin": lambda s: mirror.begin(s.branch(3)),
            "open": lambda s: ledger.open(s.branch(3), "1/b3/0", timeout=BOUND),
            "claim": lambda s: ledger.claim(s.root, "2", timeout=BOUND, waited_after=0),
            "claim again": lambda s: ledger.claim(s.root, "0", timeout=BOUND, waited_after=0),
            "succeed": self.succeed,
            "succeed as the last": lambda s: self.succeed(s, ends=True),
            "succeed transactionally": lambda s: self.succeed(s, invoices=True),
            "fail": self.fail,
            "release": lambda s: ledger.release(s.first),
            "release in a branch": lambda s: ledger.release(s.in_branch),
            "lose": lambda s: ledger.lose(s.first, reason="gone"),
            "give back": lambda s: ledger.give_back(s.first, logs=[log_line()]),
            "block": lambda s: ledger.block(s.root, "2", reason="nobody knows it"),
            "pass over": lambda s: ledger.pass_over(s.branch(2), "1/b2/0", reason="replay"),
            "standing": self.outcome,
            "skip": lambda s: mirror.skip(s.root, ["2", "1"], by="0"),
            "start delay": lambda s: mirror.start_delay(
                s.branch(1), "1/b1/0", now=utc_now(), until=later
            ),
            "end delay": lambda s: mirror.end_delay(s.branch(1), "1/b1/0", now=utc_now()),
            "start parallel": lambda s: mirror.start_parallel(s.root, "1", opens_list=True),
            "finish parallel": lambda s: mirror.finish_parallel(
                s.root, "1", error=None, ends_run=True
            ),
            "fail parallel": self.close_branch,
            "finish branch": lambda s: mirror.finish_branch(s.branch(0)),
            "finish run": lambda s: mirror.finish_run(s.root, error=None),
            "fail run": lambda s: mirror.finish_run(s.root, error="no"),
            "take over": self.take_over,
            "cancel": lambda s: self.control.cancel(
                s.run_id, tenant_id=TENANT, reason=None, by=None
            ),
            "cancel from Temporal": self.record_cancel,
            "retry": self.retry,
            "fail start": self.fail_start,
            "repair by fail": lambda s: self.repair(s, "fail"),
            "repair by cancel": lambda s: self.repair(s, "cancel"),
            "repair by restart": lambda s: self.repair(s, "restart"),
            "repair by end": lambda s: self.repair(s, "end_workflow"),
        }
