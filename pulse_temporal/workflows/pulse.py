"""The two workflow types: a run, and a branch of a parallel step."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, is_cancelled_exception

from pulse_temporal import contract
from pulse_temporal.contract import (
    CancelInput,
    ExecutionRef,
    Failure,
    FinishInput,
    InterpreterInput,
    Refusal,
    WriteAnswer,
)
from pulse_temporal.model.runs import RunStatus
from pulse_temporal.workflows.calls import Refused, TryElsewhere, write
from pulse_temporal.workflows.interpreter import Interpreter, StepFailed

CANCEL_ARRIVAL = timedelta(seconds=10)
"""How long a run that finds itself canceled waits for Temporal's own cancellation."""

LONGEST_ARRIVAL = timedelta(hours=1)
"""The longest pause between two such requests; each pause is twice the one before."""


@workflow.defn(name=contract.RUN_WORKFLOW)
class PulseRun:
    """A run: interprets its definition's root list and ends the run in the mirror."""

    @workflow.run
    async def run(self, job: InterpreterInput) -> str:
        """Return how it ended: ``completed``, or the reason for which it left the run alone."""
        interpreter = Interpreter(job)
        try:
            failure = await _outcome(interpreter)
            if interpreter.is_ended:  # written along with the last step, which saves an activity
                return "completed"
            return await self._finish(interpreter.execution, failure)
        except Refused as refused:
            return await self._leave(interpreter.execution, refused.refusal)
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled_exception(error):
                reason = workflow.cancellation_reason() or "canceled in Temporal"
                status = await _record_cancel(interpreter.execution, reason)
                # A cancel that comes after the end of the run does not change how it ended.
                if status == "completed":
                    return status
                if status == "failed":
                    raise _has_failed(interpreter.execution) from error
            raise

    async def _finish(self, execution: ExecutionRef, failure: Failure | None) -> str:
        error = f"{failure.name}: {failure.message}" if failure else None
        await write(
            contract.FINISH_RUN,
            FinishInput(**dict(execution), error=error),
            WriteAnswer,
            summary="fail" if failure else "complete",
        )
        # Written first, raised then: a workflow that has failed can write nothing any more.
        if failure is not None:
            raise ApplicationError(error or "", failure, type=contract.RUN_FAILED)
        return "completed"

    async def _leave(self, execution: ExecutionRef, refusal: Refusal) -> str:
        """End without touching the run; a canceled run closes as canceled, a failed as failed."""
        if refusal.reason == "failed":
            raise _has_failed(execution)
        if refusal.reason == "canceled":
            await _wait_for_cancel(execution, refusal.message)
        return refusal.reason


@workflow.defn(name=contract.BRANCH_WORKFLOW)
class PulseBranch:
    """A branch of a parallel step: interprets its own list of steps."""

    @workflow.run
    async def run(self, job: InterpreterInput) -> None:
        """Fail with ``PulseBranchFailed`` or ``PulseBranchRefused``, or end."""
        interpreter = Interpreter(job)
        try:
            failure = await _outcome(interpreter)
            # A run waits when nothing but delays is left, so the end of a branch may make it wait.
            if job.has_delays:
                await write(
                    contract.FINISH_BRANCH,
                    interpreter.execution,
                    WriteAnswer,
                    summary="end of branch",
                )
        except Refused as refused:
            raise ApplicationError(
                str(refused), refused.refusal, type=contract.BRANCH_REFUSED
            ) from refused
        if failure is not None:
            raise ApplicationError(
                f"{failure.name}: {failure.message}", failure, type=contract.BRANCH_FAILED
            )


def _has_failed(execution: ExecutionRef) -> ApplicationError:
    message = f"Run {execution.scope.run_id} has failed; its timeline says why."
    return ApplicationError(message, type=contract.RUN_FAILED)


async def _outcome(interpreter: Interpreter) -> Failure | None:
    """Interpret to the end; an unexpected error fails the run instead of looping for ever."""
    try:
        await interpreter.run()
    except StepFailed as failed:
        return failed.failure
    except (Refused, TryElsewhere):
        raise
    except Exception as error:
        if is_cancelled_exception(error):
            raise
        workflow.logger.exception("The interpreter failed, and the run with it.")
        name = interpreter.job.title
        return Failure(path="", name=name, message=f"internal error: {error!r}"[:1000])
    return None


async def _wait_for_cancel(execution: ExecutionRef, reason: str) -> None:
    """Ask for Temporal's cancel until it comes, as only that closes a workflow as canceled.

    It ends by itself only for a run that is not there any more.
    """
    pause = CANCEL_ARRIVAL
    while await _record_cancel(execution, reason, tell_temporal=True) == "canceled":
        await workflow.sleep(pause, summary="canceled; Temporal's cancel is coming")
        pause = min(2 * pause, LONGEST_ARRIVAL)


async def _record_cancel(
    execution: ExecutionRef, reason: str, *, tell_temporal: bool = False
) -> RunStatus | None:
    """Make a cancellation that came from Temporal final in Postgres; return the run's status.

    None: another generation acts, or the run is not there any more.
    """
    argument = CancelInput(**dict(execution), reason=reason, tell_temporal=tell_temporal)
    written = await write(contract.CANCEL_RUN, argument, WriteAnswer, summary="cancel")
    return written.status
