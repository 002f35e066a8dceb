"""Plays cases on the real engine, and compares what happened with what the oracle foretold."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

import asyncpg
from temporalio.client import Client, WorkflowFailureError

from pulse_temporal import ActionResult, NonRetryableError, RetryAfterError, WorkflowContext
from pulse_temporal.model.paths import branch_prefix_of
from pulse_temporal.model.steps import walk
from tests.harness import SOURCE, TENANT, PulseTest
from tests.model.cases import BAD_ANSWERS, BAD_RESULTS, Answer, Bad, Case, Fail, Move, Ok
from tests.model.compare import compare
from tests.model.oracle import (
    IN_TRANSACTION,
    REPLAY_SAFE,
    Call,
    RunStory,
    Sent,
    StepStory,
    foretell,
)

PATIENCE_SECONDS = 60.0
SENT = """SELECT type, payload ->> 'path' AS path, (payload ->> 'ordinal')::int AS ordinal,
    is_replay
FROM pulse_triggers WHERE caused_by_run_id = $1 ORDER BY id"""


@dataclass
class _Play:
    """A case that is being played: what is still to be done, and which calls there were."""

    case: Case
    moves: dict[str, Iterator[Move | None]]
    calls: dict[str, dict[str, list[Call]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )


class Stage:
    """An engine whose handlers follow scripts.

    Attributes:
        pulse: The engine; started, and made with ``local_activity_limit`` of one second.
        connection: To its database.
    """

    def __init__(self, pulse: PulseTest, connection: asyncpg.Connection, client: Client) -> None:
        self.pulse = pulse
        self.connection = connection
        self.client = client
        self._plays: dict[str, _Play] = {}
        self._numbers = count(1)
        self._connection_free = asyncio.Lock()

    async def open(self) -> None:
        """Make the table of effects and register the handlers."""
        await self.connection.execute("CREATE TABLE effects (run_id text, path text)")
        for type_ in ("noted", "done"):
            self.pulse.signal(type_)
        engine = self.pulse.engine
        engine.register_action("act", self._act)  # pyright: ignore[reportArgumentType] - scripts return what no handler should
        engine.register_action("act_sync", self._act_sync)  # pyright: ignore[reportArgumentType] - as above
        engine.register_action(REPLAY_SAFE, self._act_safe, replay_safe=True)  # pyright: ignore[reportArgumentType] - as above
        engine.register_action(IN_TRANSACTION, self._act_in_transaction, transactional=True)  # pyright: ignore[reportArgumentType] - as above
        engine.register_condition("ask", self._ask)  # pyright: ignore[reportArgumentType] - as above
        engine.register_condition("ask_sync", self._ask_sync)  # pyright: ignore[reportArgumentType] - as above

    async def check(self, *cases: Case) -> None:
        """Play cases side by side.

        Raises:
            AssertionError: One came out otherwise than foretold; gives a test to paste.
        """
        found = await asyncio.gather(*(self._check_one(case) for case in cases))
        wrong = [text for text in found if text]
        assert not wrong, "\n\n".join(wrong)

    async def _check_one(self, case: Case) -> str | None:
        expected = foretell(case)
        try:
            observed = await self.play(case)
        except TimeoutError as error:
            return f"It did not come to an end: {error}\n{case.as_test()}"
        differences = [
            line
            for wanted, story in zip(expected, observed, strict=True)
            for line in compare(wanted, story)
        ]
        return "\n".join([*differences, case.as_test()]) if differences else None

    async def play(self, case: Case, *, tenant_id: str = TENANT) -> list[RunStory]:
        """Run, retry and replay a case; give what happened."""
        engine = self.pulse.engine
        type_ = f"case.{next(self._numbers)}"
        definition = await self.pulse.define(type_, *case.steps, tenant_id=tenant_id)
        moves = {step.name: case.moves(step.name) for _, step in walk(case.parsed())}
        self._plays[definition.id] = _Play(case, moves)
        trigger = await self.pulse.emit(type_, tenant_id=tenant_id)
        (run_id,) = trigger.run_ids
        run = await engine.wait_for_run(run_id, timeout=PATIENCE_SECONDS)
        for _ in range(case.retries):
            if run.status == "failed":
                await engine.retry_run(run_id)
                run = await engine.wait_for_run(run_id, timeout=PATIENCE_SECONDS)
        stories = [await self._look(run_id, RunStory("first"))]
        for mode in case.replays:
            (again,) = await engine.replay(trigger.id, dry_run=mode == "dry run")
            await engine.wait_for_run(again.id, timeout=PATIENCE_SECONDS)
            stories.append(await self._look(again.id, RunStory(mode)))
        return stories

    async def _look(self, run_id: str, story: RunStory) -> RunStory:
        """Fill a story with what the engine says about a run that is over."""
        engine = self.pulse.engine
        run = await engine.get_run(run_id)
        assert run is not None
        await self._closed(run.temporal_workflow_id, failed=run.status == "failed")
        assert run.status in ("completed", "failed"), run.status
        assert (run.is_replay, run.is_dry_run) == (story.mode != "first", story.mode == "dry run")
        story.status = run.status
        story.error, story.context = run.error_message, run.context
        story.failed_at = run.current_step_index if run.status == "failed" else None
        for step in await engine.get_run_steps(run_id):
            story.steps[step.path] = StepStory(
                step.status, step.attempt, step.skipped_by, step.result, step.error_message
            )
        for entry in await engine.get_run_timeline(run_id):
            line = f"{entry.type} {entry.step_name or ''}".strip()
            story.lines[branch_prefix_of(entry.path or "")].append(line)
        story.calls = self._plays[run.definition_id].calls[run_id]
        async with self._connection_free:
            sent = await self.connection.fetch(SENT, run_id)
            effects = await self.connection.fetch(
                "SELECT path FROM effects WHERE run_id = $1", run_id
            )
        assert all(row["is_replay"] == run.is_replay for row in sent)
        story.sent = [Sent(row["path"], row["type"], row["ordinal"]) for row in sent]
        story.effects = [row["path"] for row in effects]
        return story

    async def _closed(self, workflow_id: str, *, failed: bool) -> None:
        """Wait until the workflow is closed in Temporal, as the mirror says."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.client.get_workflow_handle(workflow_id).result()
        except WorkflowFailureError:
            assert failed, "the workflow failed, the run did not"
        else:
            assert not failed, "the run failed, the workflow did not"

    def _enter(self, ctx: WorkflowContext) -> tuple[Move | None, list[dict[str, object]]]:
        """Note a call; give what it does, and the signals that it emits first."""
        play = self._plays[ctx.run.definition_id]
        move = next(play.moves[ctx.step.step_name])
        calls = play.calls[ctx.run.id].setdefault(ctx.step.path, [])
        calls.append(Call(ctx.step.attempt, ctx.run.context))
        if move is None and ctx.step.step_type == "condition":
            move = Answer()
        types = move.emits if move else ()
        return move, [
            {
                "source": SOURCE,
                "type": type_,
                "payload": {
                    "path": ctx.step.path,
                    "ordinal": types[:position].count(type_),
                },
            }
            for position, type_ in enumerate(types)
        ]

    async def _act(self, ctx: WorkflowContext) -> object:
        move, signals = self._enter(ctx)
        for signal in signals:
            await ctx.emit(signal)
        if isinstance(move, Fail) and move.how == "hangs":
            await asyncio.Event().wait()
        return answer(move)

    async def _act_safe(self, ctx: WorkflowContext) -> object:
        return await self._act(ctx)

    async def _act_in_transaction(self, ctx: WorkflowContext) -> object:
        await ctx.connection.execute(
            "INSERT INTO effects VALUES ($1, $2)", ctx.run.id, ctx.step.path
        )
        return await self._act(ctx)

    def _act_sync(self, ctx: WorkflowContext) -> object:
        move, signals = self._enter(ctx)
        for signal in signals:
            ctx.emit_blocking(signal)
        return answer(move)

    async def _ask(self, ctx: WorkflowContext) -> object:
        return await self._act(ctx)

    def _ask_sync(self, ctx: WorkflowContext) -> object:
        return self._act_sync(ctx)


def answer(move: Move | None) -> object:
    """Do what a move says, after its emits."""
    match move:
        case None:
            return None
        case Ok(data=data):
            return data
        case Answer(value=value):
            return value
        case Bad(what=what):
            return {**BAD_RESULTS, **BAD_ANSWERS}[what]()
        case Fail(how="raises for good"):
            raise NonRetryableError("no")
        case Fail(how="asks for a pause"):
            raise RetryAfterError("no", retry_after=timedelta(milliseconds=1))
        case Fail(how="refuses"):
            return ActionResult(success=False, error="no")
        case Fail(how="refuses for good"):
            return ActionResult(success=False, error="no", retryable=False)
        case Fail():
            raise RuntimeError("no")
