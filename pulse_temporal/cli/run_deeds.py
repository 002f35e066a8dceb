"""``pulse runs cancel``, ``retry`` and ``watch``."""

from __future__ import annotations

from datetime import timedelta

from pulse_temporal.cli.acting import Deed, act_on, no_advice
from pulse_temporal.cli.connection import Pulse, with_pulse
from pulse_temporal.cli.moments import read_length
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output
from pulse_temporal.cli.watching import watch
from pulse_temporal.errors import PulseError, RunTransitionError


def cancel_runs(
    run: str, /, *more: str, reason: str | None = None, options: GlobalOptions = DEFAULTS
) -> int:
    """Cancel runs, for good; also while Temporal is away.

    Parameters
    ----------
    run:
        Id of a run.
    more:
        Ids of further runs.
    reason:
        Why, for the timeline.
    """
    deed = Deed(
        verb="Cancel",
        done="canceled",
        noun="run",
        act=lambda pulse, each: pulse.runs.cancel(each, reason),
        advise=no_advice,
    )
    return act_on(Output(options), (run, *more), deed)


def retry_runs(
    run: str, /, *more: str, reason: str | None = None, options: GlobalOptions = DEFAULTS
) -> int:
    """Retry failed runs, each from the step that failed; what completed is kept.

    Parameters
    ----------
    run:
        Id of a run.
    more:
        Ids of further runs.
    reason:
        Why, for the audit.
    """
    deed = Deed(
        verb="Retry",
        done="goes on",
        noun="run",
        act=lambda pulse, each: pulse.runs.retry(each, reason=reason),
        advise=_replay_instead,
    )
    return act_on(Output(options), (run, *more), deed)


async def _replay_instead(pulse: Pulse, run_id: str, error: PulseError) -> str:
    """Return how to run the signal again, where the run itself cannot be retried."""
    if not isinstance(error, RunTransitionError):
        return ""
    run = await pulse.runs.get(run_id)
    if run is None:
        return ""
    return f"To run its signal again: pulse signals replay {run.trigger_id} --dry-run"


def watch_runs(
    run: str,
    /,
    *more: str,
    timeout: str | None = None,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Show runs live until all of them are over; exit code 0 when each has completed.

    Parameters
    ----------
    run:
        Id of a run.
    more:
        Ids of further runs.
    timeout:
        Stop watching after so long, such as 30s or 5m; the runs go on.
    """
    out = Output(options)
    limit = timedelta.max if timeout is None else read_length(timeout, option="--timeout")
    ids = list(dict.fromkeys((run, *more)))
    return with_pulse(options, lambda pulse: watch(out, pulse, ids, limit=limit))
