"""Points in the code where tests can make a process die, fail or pause.

Each lies between two states that a crash can leave behind. The environment variable
``PULSE_FAILPOINTS`` arms some of them; without it each costs one look into an empty mapping. It
lists ``FAILPOINT=ACTION``, separated by commas:

``kill``            SIGKILL to this process
``exit``            end this process at once, with status 70
``raise``           raise ``FailpointError``
``sleep:SECONDS``   pause the task that came here

An action applies to every arrival; ``:once`` after it limits it to the first, ``@N`` to the Nth:
``step.after_handler=kill,dispatch.before_done=raise:once,emit.after_commit=sleep:0.5@3``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias, get_args

from typing_extensions import TypeIs

from pulse_temporal.errors import ConfigurationError, FailpointError

log: logging.Logger = logging.getLogger(__name__)

VARIABLE = "PULSE_FAILPOINTS"
EXIT_STATUS = 70
ACTION = re.compile(
    r"(?P<action>kill|exit|raise|sleep:(?P<seconds>\d+(?:\.\d+)?))(?::once|@(?P<nth>[1-9]\d*))?"
)
ACTIONS = "kill, exit, raise or sleep:SECONDS, each alone, with :once or with @N"

Failpoint: TypeAlias = Literal[
    "emit.before_commit",  # all is inserted in a transaction of the caller, who has yet to commit
    "emit.after_commit",  # the signal, its runs and their start commands are stored; none started
    "dispatch.before_start",  # a start command is leased and read; Temporal has not been asked
    "dispatch.after_start",  # Temporal has the run; its command is still in the outbox
    "relay.after_lease",  # commands are leased by the relay, none is executed
    "dispatch.before_done",  # commands are executed; all are still in the outbox
    "schedule.before_sync",  # a definition's row is read under its lock; its schedule is as it was
    "schedule.after_sync",  # the schedule equals the row; the lock is held, the command is there
    "cron.before_emit",  # a tick has been accepted; its signal is not stored
    "cron.after_emit",  # the tick's signal is stored; Temporal does not know
    "begin.before_write",  # an interpreter has been delivered; the run is still pending
    "begin.after_write",  # the run is running; its interpreter has no answer
    "step.before_claim",  # a step is delivered and not claimed
    "step.after_claim",  # the claim is committed; the handler has not been called
    "step.after_handler",  # the handler has returned or raised; nothing is recorded
    "step.after_record",  # the result is recorded; Temporal has no answer
    "step.after_pass_over",  # an action of a replay is recorded as skipped; no answer
    "failure.after_record",  # the failed attempt is recorded; no answer
    "transaction.before_commit",  # a transactional action's effect and record are one, uncommitted
    "transaction.after_commit",  # they are committed; no answer
    "start_delay.after_write",  # a delay is scheduled in the mirror; its timer does not run yet
    "end_delay.after_write",  # a delay is completed in the mirror; no answer
    "skip.after_write",  # steps are skipped in the mirror; no answer
    "start_parallel.after_write",  # a parallel step has begun; it has no branches in Temporal
    "finish_branch.after_write",  # the end of a branch is noted; its workflow is open
    "finish_parallel.after_write",  # the branches are joined in the mirror; no answer
    "finish_run.before_write",  # the end of the run is about to be written, or of its last block
    "finish_run.after_write",  # it is written; the workflow is open
    "cancel.before_commit",  # run, steps and cancel command are written, not committed
    "cancel.after_commit",  # the cancel is final; Temporal does not know
    "audit.before_write",  # a change is made, not committed; who has made it is not recorded
    "bulk.before_collected",  # some of an operation's runs are written down, not committed
    "bulk.before_commit",  # a run is canceled, retried or replayed, and its item says so; the same
    "bulk.after_commit",  # the item is done, the next one is as it was
    "retry.before_commit",  # the new generation and its start command are written, not committed
    "retry.after_commit",  # the run goes on, by its row; it has no workflow
]
FAILPOINTS: tuple[Failpoint, ...] = get_args(Failpoint)


@dataclass(slots=True)
class Armed:
    """An armed failpoint: the action, and to which arrival it applies.

    Attributes:
        action: ``kill``, ``exit``, ``raise`` or ``sleep``.
        seconds: Length of a ``sleep``.
        only: Number of the arrival that it applies to, from 1; None: to all.
        arrivals: Arrivals so far.
    """

    action: str
    seconds: float = 0.0
    only: int | None = None
    arrivals: int = 0


_armed: dict[Failpoint, Armed] = {}


async def reach(failpoint: Failpoint) -> None:
    """Do what the failpoint is armed with; nothing when it is not armed.

    Raises:
        FailpointError: It is armed with ``raise``.
    """
    armed = _armed.get(failpoint)
    if armed is None:
        return
    armed.arrivals += 1
    if armed.only not in (None, armed.arrivals):
        return
    match armed.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(EXIT_STATUS)
        case "raise":
            raise FailpointError(f"Failpoint {failpoint} is armed with raise.")
        case _:
            await asyncio.sleep(armed.seconds)


def parse(text: str) -> dict[Failpoint, Armed]:
    """Return the failpoints that a value of ``PULSE_FAILPOINTS`` arms; none for empty text.

    Raises:
        ConfigurationError: Names every failpoint that is unknown, armed twice or given
            something that is not an action.
    """
    found: dict[Failpoint, Armed] = {}
    problems: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, action = (side.strip() for side in part.partition("="))
        written = ACTION.fullmatch(action)
        if not _is_failpoint(name):
            problems.append(f"there is no {name!r}, only {', '.join(FAILPOINTS)}")
        elif name in found:
            problems.append(f"{name} is armed twice")
        elif written is None:
            problems.append(f"{name} has no action {action!r}, only {ACTIONS}")
        else:
            found[name] = _armed_as(written)
    if problems:
        raise ConfigurationError(f"{VARIABLE} is wrong: {'; '.join(problems)}.")
    return found


def arm(failpoints: Mapping[Failpoint, Armed]) -> None:
    """Arm exactly these failpoints in this process; disarm all others."""
    _armed.clear()
    _armed.update(failpoints)


def arm_from_environment() -> None:
    """Arm what ``PULSE_FAILPOINTS`` says, once for each value of it.

    A second engine in the process must not set the counts of arrivals back to zero.

    Raises:
        ConfigurationError: ``PULSE_FAILPOINTS`` cannot be read.
    """
    text = os.environ.get(VARIABLE)
    if text:
        _arm_once(text)


def warn_of_failpoints() -> None:
    """Log a warning if failpoints are armed, so that nobody leaves them on in production."""
    if _armed:
        facts = {"failpoints": ", ".join(f"{name}={how.action}" for name, how in _armed.items())}
        log.warning(
            "FAILPOINTS ARE ARMED in this process: %(failpoints)s. It will be killed, fail or"
            " pause there on purpose. Unset PULSE_FAILPOINTS if this is not a test.",
            facts,
            extra=facts,
        )


@cache
def _arm_once(text: str) -> None:
    arm(parse(text))


def _is_failpoint(name: str) -> TypeIs[Failpoint]:
    return name in FAILPOINTS


def _armed_as(written: re.Match[str]) -> Armed:
    groups = written.groupdict()
    is_once = written.string.endswith(":once")
    nth = groups["nth"]
    return Armed(
        action=groups["action"].partition(":")[0],
        seconds=float(groups["seconds"] or 0),
        only=1 if is_once else int(nth) if nth else None,
    )
