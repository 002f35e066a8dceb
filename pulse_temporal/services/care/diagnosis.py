"""Judge what a health check has found, and advise what to do about it. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pulse_temporal.model.health import HealthCheck
from pulse_temporal.model.reconcile import ReconcileReport, Repair
from pulse_temporal.store.health import (
    BlockedSteps,
    IdleQueue,
    Outbox,
    PendingRuns,
    RefusedSchedules,
    Rights,
    Server,
    Workers,
)

OLDEST_POSTGRES = 15
OUTBOX_PATIENCE = timedelta(seconds=30)
"""A command that has waited for longer is stuck."""

PENDING_PATIENCE = timedelta(minutes=1)
TURNS_LATE = 3
"""After this many intervals without a comparison, it is late."""

SILENT = (
    "One that cannot write to Postgres takes no work until it can; its log says 'takes no work',"
    " and why."
)
SHOWN = 3
UNITS = (
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("min", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
)
HANDBOOK = "docs/operate/reconcile.md"


def judge_server(server: Server) -> HealthCheck:
    """Return whether the server is new enough and takes writes."""
    what = f"Postgres {server.version.split()[0]}, database {server.database!r},"
    if server.version_number < OLDEST_POSTGRES * 10_000:
        return HealthCheck(
            name="postgres",
            status="failed",
            summary=f"{what} is too old.",
            advice=f"Pulse needs Postgres {OLDEST_POSTGRES} or newer.",
        )
    if server.is_read_only:
        return HealthCheck(
            name="postgres",
            status="failed",
            summary=f"{what} takes no writes.",
            advice="This is a standby, or was made read-only. Let DATABASE_URL name the primary.",
        )
    return HealthCheck(name="postgres", status="ok", summary=f"{what} answers.")


def judge_tables(missing: Sequence[str]) -> HealthCheck:
    """Return whether the tables lack migrations; ``missing`` has their names."""
    if not missing:
        return HealthCheck(
            name="tables", status="ok", summary="The tables are as new as this release."
        )
    return HealthCheck(
        name="tables",
        status="failed",
        summary=f"The tables are older than this release: {', '.join(missing)} missing.",
        advice="Call engine.migrate(); it is safe while workers are at work.",
    )


def judge_rights(rights: Rights) -> HealthCheck:
    """Return whether the role may do what runs need; a role that may only read is a warning."""
    grants = "docs/operate/roles.md has the grants; run them as the owner of the tables."
    if rights.missing and (rights.can_write or any("SELECT" in each for each in rights.missing)):
        return HealthCheck(
            name="rights",
            status="failed",
            summary=f"The database role lacks {'; '.join(rights.missing)}.",
            advice=grants,
        )
    if rights.missing:
        return HealthCheck(
            name="rights",
            status="warning",
            summary="The database role may only read: it can watch, not emit or work.",
            advice=f"For a worker, {grants}",
        )
    if rights.hidden:
        return HealthCheck(
            name="rights",
            status="warning",
            summary=f"Row-level security applies to this role on {', '.join(rights.hidden)}:"
            " rows that a policy hides are lost to Pulse.",
            advice="Let a policy show the role every row, or disable it on these tables.",
        )
    return HealthCheck(name="rights", status="ok", summary="The role may do all that runs need.")


def judge_workers(workers: Workers, *, handlers: int, task_queue: str) -> HealthCheck:
    """Return whether workers are alive, and whether some have fallen silent.

    A worker that stops deletes its row. So a row that is not renewed belongs to a process that
    was killed, or to one that cannot write to Postgres and therefore takes no work.
    """
    if workers.alive:
        summary = (
            f"{count(workers.alive, 'worker')} on task queue {task_queue!r}, last seen"
            f" {length(workers.silent_for)} ago, with {count(handlers, 'handler')}."
        )
        if not workers.silent:
            return HealthCheck(name="workers", status="ok", summary=summary)
        return HealthCheck(
            name="workers",
            status="warning",
            summary=f"{summary} {count(workers.silent, 'more worker')} silent, the last sign of"
            f" one {length(workers.others_silent_for)} ago, without a stop in good order.",
            advice=f"It was killed, or has lost Postgres. {SILENT}",
        )
    last = "none is on record"
    if workers.silent_for is not None:
        last = f"the last sign of one is {length(workers.silent_for)} old"
    advice = "Runs stand still. Start a worker, or look at the logs of yours."
    if workers.silent:
        advice = f"Runs stand still. Start a worker. Is one of yours up? {SILENT}"
    if workers.other_queues:
        names = ", ".join(repr(queue) for queue in workers.other_queues[:SHOWN])
        advice += f" Others work on {names}: is PULSE_QUEUE_PREFIX right?"
    return HealthCheck(
        name="workers",
        status="warning",
        summary=f"No worker lives on task queue {task_queue!r}; {last}.",
        advice=advice,
    )


def judge_outbox(outbox: Outbox, *, limit: int, are_workers_alive: bool) -> HealthCheck:
    """Return whether commands reach Temporal; ``limit`` is where they were no longer counted."""
    if not outbox.commands or outbox.age is None:
        return HealthCheck(name="outbox", status="ok", summary="No command waits.")
    told = [f"{count(outbox.commands, 'command', limit=limit)} to Temporal waiting"]
    told.append(f"the oldest for {length(outbox.age)}")
    if outbox.tries > 1:
        told.append(f"tried up to {outbox.tries} times")
    summary = ", ".join(told) + "."
    if outbox.error:
        summary += f" The last error: {_line(outbox.error)}"
    if outbox.age < OUTBOX_PATIENCE:
        return HealthCheck(name="outbox", status="ok", summary=summary)
    if outbox.newer:
        return HealthCheck(
            name="outbox",
            status="warning",
            summary=f"{summary} {outbox.newer} of them for a newer release than this one.",
            advice="Nothing is lost: a worker of the newer release carries them out. Start one, or"
            " go on with the update.",
        )
    advice = "Nothing is lost: a worker carries them out as soon as one is there."
    if are_workers_alive:
        advice = "Nothing is lost: workers try again by themselves."
        advice += (
            " The error says what is in the way."
            if outbox.error
            else " Can they reach Temporal? Their logs say."
        )
    return HealthCheck(name="outbox", status="warning", summary=summary, advice=advice)


def judge_pending(pending: PendingRuns, *, limit: int) -> HealthCheck:
    """Return whether runs begin; ``limit`` is where they were no longer counted."""
    if not pending.runs:
        return HealthCheck(
            name="pending_runs",
            status="ok",
            summary=f"No run has been pending for more than {length(PENDING_PATIENCE)}.",
        )
    runs = count(pending.runs, "run", limit=limit)
    return HealthCheck(
        name="pending_runs",
        status="warning",
        summary=f"{runs} pending, the oldest for {length(pending.age)}: {pending.oldest_id}.",
        advice="They begin when a worker takes them. With workers alive and an empty outbox there"
        " are too few workers: start more.",
    )


def judge_blocked(blocked: Sequence[BlockedSteps], *, limit: int, fails_after: str) -> HealthCheck:
    """Return whether steps wait for a handler that no worker has."""
    if not blocked:
        return HealthCheck(name="blocked_steps", status="ok", summary="No step is blocked.")
    total = sum(found.steps for found in blocked)
    reasons = [
        f"{found.steps} x {_line(found.reason)}" if len(blocked) > 1 else _line(found.reason)
        for found in blocked[:SHOWN]
    ]
    if len(blocked) > SHOWN:
        reasons.append(f"And {len(blocked) - SHOWN} more reasons.")
    oldest = max(found.age for found in blocked)
    return HealthCheck(
        name="blocked_steps",
        status="warning",
        summary=f"{count(total, 'step', limit=limit)} blocked, the first for {length(oldest)}."
        f" {' '.join(reasons)} For example in {blocked[0].run_id}.",
        advice="Start a worker that has the handler; the steps go on by themselves. They fail"
        f" after {fails_after}.",
    )


def judge_idle_queues(idle: Sequence[IdleQueue], *, task_queue: str) -> HealthCheck:
    """Return whether another queue of the same database stands still."""
    if not idle:
        return HealthCheck(
            name="other_queues",
            status="ok",
            summary=f"On no other task queue than {task_queue!r} does anything wait for a worker.",
        )
    told = [
        f"{queue.task_queue!r} ({count(queue.runs, 'open run')},"
        f" {count(queue.commands, 'command')}, the oldest for {length(queue.age)})"
        for queue in idle[:SHOWN]
    ]
    if len(idle) > SHOWN:
        told.append(f"and {len(idle) - SHOWN} more")
    return HealthCheck(
        name="other_queues",
        status="warning",
        summary=f"No worker lives on {', '.join(told)}. These runs stand still.",
        advice="Start a worker with that PULSE_QUEUE_PREFIX. Was the prefix changed, run one of"
        " the old name until nothing is left there.",
    )


def judge_schedules(refused: RefusedSchedules, *, limit: int) -> HealthCheck:
    """Return whether Temporal has refused schedules of definitions for good."""
    if not refused.definitions:
        return HealthCheck(
            name="schedules", status="ok", summary="Temporal refuses no definition's cron."
        )
    return HealthCheck(
        name="schedules",
        status="warning",
        summary=f"Temporal refuses the cron of"
        f" {count(refused.definitions, 'definition', limit=limit)}, which do not tick. The last:"
        f" {refused.definition_id} of tenant {refused.tenant_id}:"
        f" {_line(refused.error or '')}",
        advice="Change its cron expression or time zone, or update the Temporal server and call"
        " enable_workflow. schedule_error of a definition says what is wrong with it.",
    )


def judge_reconciler(
    report: ReconcileReport | None, *, workers: Workers, interval: timedelta, now: datetime
) -> HealthCheck:
    """Return whether workers compare the mirror with Temporal in time, and how that went."""
    if report is not None and report.halted:
        return HealthCheck(
            name="reconciler",
            status="failed",
            summary=f"Halted {length(now - report.at)} ago: {_line(report.halted)}",
            advice=f"Nothing is repaired until somebody decides. See {HANDBOOK}.",
        )
    too_long = TURNS_LATE * interval
    is_late = report is None or now - report.at > too_long
    summary = "The mirror has not been compared with Temporal yet."
    if report is not None:
        summary = (
            f"Compared {length(now - report.at)} ago: {count(report.checked, 'run')} checked,"
            f" {count(len(report.repairs), 'repair') if report.repairs else 'nothing differed'}."
        )
    if report is not None and report.problems:
        return HealthCheck(
            name="reconciler",
            status="warning",
            summary=f"{summary} {count(len(report.problems), 'problem')}: "
            f"{_line(report.problems[0])}",
            advice="The next comparison tries again; pulse reconcile shows all.",
        )
    # Only if a worker has been alive for so long: one that has just started has time.
    if is_late and workers.alive_for is not None and workers.alive_for > too_long:
        return HealthCheck(
            name="reconciler",
            status="warning",
            summary=summary,
            advice=f"A worker should do it every {length(interval)}, and some are alive. Their"
            " logs say what is in the way.",
        )
    return HealthCheck(name="reconciler", status="ok", summary=summary)


def judge_mirror(report: ReconcileReport) -> HealthCheck:
    """Return whether the mirror agrees with Temporal, by a comparison that was made just now."""
    if report.halted:
        return HealthCheck(
            name="mirror",
            status="failed",
            summary=_line(report.halted),
            advice=f"Nothing is repaired until somebody decides. See {HANDBOOK}.",
        )
    looked = f"{count(report.checked, 'open run')} compared with Temporal now"
    parts = [_difference(repair) for repair in report.repairs[:SHOWN]]
    if len(report.repairs) > SHOWN:
        parts.append(f"and {len(report.repairs) - SHOWN} more")
    strangers = report.unknown_workflows
    if not parts and not strangers:
        return HealthCheck(name="mirror", status="ok", summary=f"{looked}: nothing differs.")
    advice: list[str] = []
    if parts:
        advice.append("Workers repair this when it is its turn; pulse reconcile does it now.")
    if strangers:
        parts.append(f"{count(len(strangers), 'workflow')} without a run, such as {strangers[0]}")
        advice.append(
            "Workflows without a run are left alone: does another database use this queue prefix,"
            " or was Postgres restored to an earlier moment?"
        )
    return HealthCheck(
        name="mirror",
        status="warning",
        summary=f"{looked}: {'; '.join(parts)}.",
        advice=" ".join(advice),
    )


def length(time: timedelta | None) -> str:
    """Return a length of time in its two largest units, as ``2 h 5 min``; ``0 s`` for None."""
    left = max(time or timedelta(), timedelta())
    parts: list[str] = []
    for unit, size in UNITS:
        if left >= size or (unit == "s" and not parts):
            parts.append(f"{left // size} {unit}")
        elif parts:
            break
        left %= size
    return " ".join(parts[:2])


def count(number: int, noun: str, *, limit: int | None = None) -> str:
    """Return a number with its noun; at ``limit``, where counting ended, with "or more"."""
    if limit is not None and number >= limit:
        return f"{limit:_} or more {noun}s".replace("_", " ")
    return f"{number:_} {noun}{'' if number == 1 else 's'}".replace("_", " ")


def _difference(repair: Repair) -> str:
    return f"{repair.subject_id} {repair.found.replace('_', ' ')}"


def _line(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())
