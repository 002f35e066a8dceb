"""Interpret one list of steps: the cursor decides, this class awaits."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import assert_never

from temporalio import workflow
from temporalio.exceptions import (
    FailureError,
    WorkflowAlreadyStartedError,
)

from pulse_temporal import contract
from pulse_temporal.contract import (
    AttemptFailure,
    BeginAnswer,
    Beginning,
    DelayAnswer,
    DelayInput,
    EndBranchInput,
    ExecutionRef,
    Failure,
    InterpreterInput,
    ParallelInput,
    SkipInput,
    StepDone,
    StepInput,
    StepSkeleton,
    WriteAnswer,
)
from pulse_temporal.model.commands import Call, FanOut, Finish, Progress, Wait
from pulse_temporal.model.paths import branch_path, child_path
from pulse_temporal.workflows.calls import (
    attempt_locally,
    attempt_queued,
    write,
)
from pulse_temporal.workflows.cursor import next_command, resume, skipped_after
from pulse_temporal.workflows.outcomes import attempt_failure, branch_failure

BRANCH_ERROR_CHARS = 500


class StepFailed(Exception):  # noqa: N818 - an outcome of the run, not an error of the workflow
    """A step has failed for good, and with it the list that it lives in."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.message)


class Interpreter:
    """Takes one list of steps from where it stands to its end.

    Attributes:
        job: What to interpret.
        execution: Sent along with every activity, so that the mirror knows who writes.
        is_ended: The run is completed on record, along with its last step.
    """

    def __init__(self, job: InterpreterInput) -> None:
        self.job = job
        self.execution: ExecutionRef = ExecutionRef(
            scope=job.scope, first_execution_run_id=workflow.info().first_execution_run_id
        )
        self.is_ended = False
        self._beginning: Beginning | None = None
        self._terms = job.terms
        self._deferred: set[int] = set()

    async def run(self) -> None:
        """Interpret the list to its end.

        Raises:
            StepFailed: A step failed for good.
            Refused: The run is canceled, or another execution speaks for it.
        """
        steps = self.job.steps
        if workflow.info().continued_run_id:
            # An execution that continues another one has no static summary of its own.
            workflow.set_current_details(self.job.title)
        progress = await self._open()
        while True:
            if self.is_ended:
                return
            self._continue_as_new_if_due()
            command = next_command(steps, progress)
            match command:
                case Finish():
                    return
                # Progress is kept in memory alone: after a restart Temporal replays the history,
                # and a reset reads from the mirror what has ended.
                case Call(index):
                    progress = await self._after(index, await self._call(index), progress)
                case Wait(index):
                    await self._wait(index)
                    progress = progress.end([index])
                case FanOut(index):
                    await self._fan_out(index)
                    progress = progress.end([index])
                case _:
                    assert_never(command)

    def path(self, index: int) -> str:
        """Return the path of a step of this list."""
        return child_path(self.job.scope.branch, index)

    @property
    def beginning(self) -> Beginning:
        """What the mirror said when this execution began."""
        if self._beginning is None:
            raise RuntimeError("the interpreter has not begun")
        return self._beginning

    async def _open(self) -> Progress:
        """Begin; a list's first execution begins along with the first step, unless it waits.

        To begin is a write of its own: it makes this execution the one that may write, and says
        which steps have ended before. A first execution knows the latter, so both writes can be
        one. That saves every run, and every branch, a local activity.
        """
        if not self._is_first():
            return resume((await self._begin()).ended)
        match self.job.steps[0].type:
            case "action" | "condition":
                return await self._open_with_call()
            case "parallel":
                return await self._open_with_parallel()
            case _:
                return resume((await self._begin()).ended)

    def _is_first(self) -> bool:
        scope = self.job.scope
        # A replay may have to pass its first action over, and a dry run calls nothing: neither
        # has a first step that it could begin with.
        is_repeat = scope.generation > 1 or workflow.info().continued_run_id is not None
        return bool(self.job.steps) and not (is_repeat or scope.is_replay or scope.is_dry_run)

    async def _open_with_call(self) -> Progress:
        """Begin along with the first step's handler; return the progress after it."""
        shape, limit = self.job.steps[0], self._terms.local_limit_ms
        # The terms go along: a worker with other ones would have computed another timeout, so it
        # only opens the list and leaves the call to the next delivery.
        step = self._step(0).model_copy(update={"begins": self._terms})
        if shape.timeout_ms is None:
            local = shape.type == "condition" and limit > 0
        else:
            local = shape.timeout_ms <= limit
        try:
            done = await self._attempt(step, shape, local=local)
        except FailureError as error:
            failed = attempt_failure(error)
            if failed.retry_in_ms is not None:
                # The answer of a failed delivery has no room for what the mirror said at the
                # beginning; the next attempt needs it.
                await self._begin()
            return await self._after(0, await self._call(0, failed=failed), Progress())
        beginning = self._note(done.beginning) or await self._begin()
        if done.deferred:
            # The list is open, and the handler was not called: its turn comes in the loop, through
            # the queue.
            self._deferred.add(0)
            return resume(beginning.ended)
        return await self._after(0, done, Progress())

    async def _open_with_parallel(self) -> Progress:
        shape = self.job.steps[0]
        parallel = ParallelInput(**dict(self.execution), path=self.path(0), begins=True)
        written = await write(
            contract.START_PARALLEL, parallel, WriteAnswer, summary=f"fan out · {shape.name}"
        )
        beginning = self._note(written.beginning) or await self._begin()
        progress = resume(beginning.ended)
        if progress.index > 0:  # an execution before this one has joined the branches already
            return progress
        await self._fan_out(0, has_started=True)
        return progress.end([0])

    async def _begin(self) -> Beginning:
        beginning = await write(contract.BEGIN, self.execution, BeginAnswer, summary="begin")
        self._note(beginning)
        return beginning

    def _note(self, beginning: Beginning | None) -> Beginning | None:
        if beginning is not None:
            self._beginning, self._terms = beginning, beginning.terms
        return beginning

    def _step(self, index: int) -> StepInput:
        shape = self.job.steps[index]
        return StepInput(
            **dict(self.execution),
            path=self.path(index),
            type="condition" if shape.type == "condition" else "action",
            handler=shape.uses,
            timeout_ms=shape.timeout_ms or self._terms.action_timeout_ms,
            ends=self._ends_with(index),
        )

    def _ends_with(self, index: int) -> bool:
        return not self.job.scope.branch and index == len(self.job.steps) - 1

    async def _call(self, index: int, *, failed: AttemptFailure | None = None) -> StepDone:
        """Call a handler until it succeeds or its attempts are used up.

        Args:
            index: The step.
            failed: Its first attempt, when that has been made already.
        """
        step, shape = self._step(index), self.job.steps[index]
        local = failed is None and index in self.beginning.local and index not in self._deferred
        while True:
            if failed is None:
                try:
                    return await self._attempt(step, shape, local=local)
                except FailureError as error:
                    failed = attempt_failure(error)
            if failed.retry_in_ms is None:
                raise StepFailed(Failure(path=step.path, name=shape.name, message=failed.message))
            # A timer of the workflow, not a retry policy of the activity: Temporal's pages show
            # it, and attempts are counted by the ledger alone.
            await workflow.sleep(
                timedelta(milliseconds=failed.retry_in_ms),
                summary=_retry_summary(failed, shape.name),
            )
            # The ledger need not compare its clock with Temporal's to see that the pause is over.
            step = step.model_copy(update={"waited_after": failed.attempt})
            # Only the first delivery is local: what has failed once may also be slow.
            local, failed = False, None
            self._continue_as_new_if_due()

    async def _attempt(self, step: StepInput, shape: StepSkeleton, *, local: bool) -> StepDone:
        summary = f"{step.type} · {shape.name}"
        if local:
            tried, timeout_ms = step, step.timeout_ms
            if shape.timeout_ms is None:
                timeout_ms = self._terms.local_limit_ms
                tried = step.model_copy(update={"tried_for_ms": timeout_ms})
            done = await attempt_locally(
                tried, timeout=timedelta(milliseconds=timeout_ms), summary=summary
            )
            # Nothing is on record. Said along, because where signals could not be stored, the next
            # delivery waits until they can, instead of being lost as well.
            if done is None:
                step = step.model_copy(update={"was_lost": True})
            # Deferred, it was given back because it takes too long here, and goes on below. But
            # the first step of a list has opened it on the way: that is an answer.
            elif not (done.deferred and step.begins is None):
                return done
        return await attempt_queued(
            step,
            timeout=timedelta(milliseconds=step.timeout_ms),
            heartbeat=timedelta(milliseconds=self._terms.heartbeat_timeout_ms),
            summary=summary,
        )

    async def _after(self, index: int, done: StepDone, progress: Progress) -> Progress:
        """Skip what a step's answer passes over; return the progress after both."""
        self.is_ended = done.ended
        skipped = skipped_after(self.job.steps, index, answer=done.value)
        await self._skip(skipped, by=index)
        return progress.end([index, *skipped])

    async def _skip(self, indexes: range, *, by: int) -> None:
        if indexes:
            await self._pass_over(indexes, by=self.path(by))

    async def _pass_over(self, indexes: Sequence[int], *, by: str) -> None:
        paths = tuple(self.path(index) for index in indexes)
        argument = SkipInput(**dict(self.execution), paths=paths, by=by)
        await write(contract.SKIP, argument, WriteAnswer, summary=f"skip {len(paths)} steps")

    async def _wait(self, index: int) -> None:
        shape = self.job.steps[index]
        if self.job.scope.is_dry_run:
            await self._pass_over([index], by="dry run")
            return
        now_ms = _now_ms()
        argument = DelayInput(
            **dict(self.execution),
            path=self.path(index),
            now_ms=now_ms,
            until_ms=now_ms + shape.delay_ms,
        )
        # The mirror has the last word on when it ends: an execution that was reset goes on with
        # the delay that began before, not with a new one.
        begun = await write(
            contract.START_DELAY, argument, DelayAnswer, summary=f"begin delay · {shape.name}"
        )
        # What is left: the write itself may have waited for Postgres.
        rest_ms = begun.until_ms - _now_ms()
        if rest_ms > 0:
            rest = timedelta(milliseconds=rest_ms)
            await workflow.sleep(rest, summary=f"delay · {shape.name}")
        argument = DelayInput(**dict(self.execution), path=self.path(index), now_ms=_now_ms())
        await write(contract.END_DELAY, argument, WriteAnswer, summary=f"end delay · {shape.name}")

    async def _fan_out(self, index: int, *, has_started: bool = False) -> None:
        """Run every branch as a child workflow, wait for all, then fail if any failed."""
        shape = self.job.steps[index]
        path, ends = self.path(index), self._ends_with(index)
        if not has_started:
            parallel = ParallelInput(**dict(self.execution), path=path)
            summary = f"fan out · {shape.name}"
            await write(contract.START_PARALLEL, parallel, WriteAnswer, summary=summary)
        ended = self.beginning.ended_branches.get(index, ())
        open_branches = [n for n in range(len(shape.branches)) if n not in ended]
        # All of them end, also when one has failed: what a branch has begun must not be torn.
        results = await asyncio.gather(
            *(self._branch(shape, index, number) for number in open_branches),
            return_exceptions=True,
        )
        failures: list[str] = []
        for number, result in zip(open_branches, results, strict=True):
            failure = branch_failure(result)
            if failure is not None:
                failures.append(f"branch {number}: {failure[:BRANCH_ERROR_CHARS]}")
        error = "; ".join(failures) or None
        parallel = ParallelInput(**dict(self.execution), path=path, error=error, ends=ends)
        written = await write(
            contract.FINISH_PARALLEL, parallel, WriteAnswer, summary=f"join · {shape.name}"
        )
        if error is not None:
            raise StepFailed(Failure(path=path, name=shape.name, message=error))
        self.is_ended: bool = written.status == "completed"

    async def _branch(self, shape: StepSkeleton, index: int, number: int) -> None:
        path = branch_path(self.path(index), number)
        while True:
            try:
                await self._start_branch(shape, number, path)
            except WorkflowAlreadyStartedError:
                # This execution is a reset, and the branch works for the one before.
                ending = EndBranchInput(**dict(self.execution), path=path)
                await write(contract.END_BRANCH, ending, WriteAnswer, summary=f"restart {path}")
            else:
                return

    async def _start_branch(self, shape: StepSkeleton, number: int, path: str) -> None:
        scope = self.job.scope
        info = workflow.info()
        parent = {
            "branch": path,
            "parent_run_id": info.run_id,
            "parent_first_run_id": info.first_execution_run_id,
        }
        await workflow.execute_child_workflow(
            contract.BRANCH_WORKFLOW,
            self.job.model_copy(
                update={
                    "scope": scope.model_copy(update=parent),
                    "title": shape.name,
                    "steps": shape.branches[number],
                }
            ),
            # A fixed id: two executions of this run can never have the branch run twice at once.
            id=contract.branch_workflow_id(scope.run_id, scope.generation, path),
            task_timeout=timedelta(milliseconds=self.job.task_timeout_ms),
            # A run that is canceled or terminated takes its branches along, and they may clean up.
            parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
            search_attributes=info.typed_search_attributes,
            static_summary=f"{shape.name} · branch {number}",
        )

    def _continue_as_new_if_due(self) -> None:
        """Start over with a short history; only called while no child is open."""
        if workflow.info().is_continue_as_new_suggested():
            workflow.continue_as_new(self.job)


def _retry_summary(failure: AttemptFailure, name: str) -> str:
    return f"retry {failure.attempt + 1} of {failure.max_attempts} of {name}"


def _now_ms() -> int:
    return math.ceil(workflow.now().timestamp() * 1000)
