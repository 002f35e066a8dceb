"""Call one handler by itself, without any server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from typing_extensions import override

from pulse_temporal.clock import utc_now
from pulse_temporal.handlers.context import (
    ContextControl,
    LentRun,
    LogBook,
    WorkflowContext,
)
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.logs import LogLine
from pulse_temporal.model.runs import WorkflowRun, WorkflowStepRun
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.model.values import JsonObject
from pulse_temporal.testing.signals import SOURCE, TENANT, owned

if TYPE_CHECKING:
    from pulse_temporal.handlers.context import HandlerConnection

LOG_LINES = 1_000
LOG_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class HandlerBench:
    """A context to call a handler with, and what the handler did with it.

    Attributes:
        ctx: Hand it to the handler.
        emitted: Signals that the handler emitted, in order; they go nowhere.
    """

    ctx: WorkflowContext
    emitted: list[TriggerInput]
    _book: LogBook
    _control: ContextControl

    def lend(self, connection: HandlerConnection) -> None:
        """Make a connection ``ctx.connection``, as transactional actions have it."""
        self._control.lend(connection)

    def cancel(self) -> None:
        """Make ``ctx.canceled`` true, as when the run is canceled or the time is over."""
        self._control.cancel()

    @property
    def logs(self) -> list[LogLine]:
        """What the handler wrote with ``ctx.log``, in order."""
        return self._book.lines()


def handler_bench(
    *,
    payload: Mapping[str, object] | None = None,
    config: JsonObject | None = None,
    context: JsonObject | None = None,
    tenant_id: str = TENANT,
    is_replay: bool = False,
) -> HandlerBench:
    """Make a context to call one handler with; all of it can be left out.

    ```python
    async def test_large_orders_are_announced():
        bench = handler_bench(payload={"amount": 900}, config={"large": 500})

        await announce(bench.ctx)

        assert [signal.type for signal in bench.emitted] == ["order.large"]
    ```

    Args:
        payload: Of the signal, ``ctx.trigger.payload``.
        config: ``ctx.config``.
        context: ``ctx.run.context``, the results of earlier actions by step name.
        tenant_id: ``ctx.tenant_id``.
        is_replay: ``ctx.is_replay``.
    """
    now = utc_now()
    trigger = TriggerEnvelope(
        id=new_id("trg"),
        created_at=now,
        tenant_id=tenant_id,
        source=SOURCE,
        type="handler.bench",
        payload=dict(payload or {}),
    )
    run = WorkflowRun(
        id=new_id("run"),
        definition_id=new_id("wfd"),
        tenant_id=tenant_id,
        trigger_id=trigger.id,
        status="running",
        context=context or {},
        is_replay=is_replay,
        definition_snapshot=DefinitionSnapshot(
            name="Bench", trigger_type=trigger.type, steps=[], definition_id=new_id("wfd")
        ),
        created_at=now,
        updated_at=now,
    )
    step = WorkflowStepRun(
        id=new_id("stp"),
        run_id=run.id,
        tenant_id=tenant_id,
        step_index=0,
        step_type="action",
        step_name="bench",
        status="running",
        path="0",
        attempt=1,
        created_at=now,
    )
    book = LogBook(utc_now, LOG_LINES, LOG_BYTES)
    kept = _Kept(run)
    control = ContextControl(kept.emit)
    ctx = _BenchContext(
        step=step, trigger=trigger, config=config or {}, book=book, kept=kept, control=control
    )
    return HandlerBench(ctx, kept.signals, book, control)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Keeps what a handler emits."""

    run: WorkflowRun
    signals: list[TriggerInput] = field(default_factory=list[TriggerInput])

    def keep(self, signal: TriggerInput | Mapping[str, object]) -> TriggerEnvelope:
        if not isinstance(signal, TriggerInput):
            signal = TriggerInput.model_validate(owned(signal, tenant_id=self.run.tenant_id))
        self.signals.append(signal)
        return TriggerEnvelope(
            **dict(signal),
            id=new_id("trg"),
            created_at=utc_now(),
            caused_by_run_id=self.run.id,
            root_trigger_id=self.run.trigger_id,
            depth=1,
        )

    async def emit(self, signal: TriggerInput | Mapping[str, object]) -> TriggerEnvelope:
        return self.keep(signal)


class _BenchContext(WorkflowContext):
    """Needs no event loop for what a handler emits that is not async."""

    __slots__ = ("_kept",)

    def __init__(
        self,
        *,
        step: WorkflowStepRun,
        trigger: TriggerEnvelope,
        config: JsonObject,
        book: LogBook,
        kept: _Kept,
        control: ContextControl,
    ) -> None:
        self._kept = kept
        super().__init__(
            run=LentRun(kept.run.is_replay, lambda: kept.run),
            step=step,
            trigger=trigger,
            config=config,
            book=book,
            control=control,
        )

    @override
    def emit_blocking(self, signal: TriggerInput | Mapping[str, object]) -> TriggerEnvelope:
        return self._kept.keep(signal)
