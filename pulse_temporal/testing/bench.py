"""Call one handler by itself, without any server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import override

from pulse_temporal.clock import utc_now
from pulse_temporal.handlers.context import ContextLine, LogBook, WorkflowContext
from pulse_temporal.model.definitions import DefinitionSnapshot
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.runs import WorkflowRun, WorkflowStepRun
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.model.values import JsonObject
from pulse_temporal.testing.signals import SOURCE, TENANT, owned

LOG_LINES = 1_000
LOG_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class HandlerBench:
    """A context to call a handler with, and what the handler did with it.

    Attributes:
        ctx: Hand it to the handler. ``ctx.lend(connection)`` gives it the connection of a
            transactional action, ``ctx.cancel()`` cancels it.
        emitted: Signals that the handler emitted, in order; they go nowhere.
    """

    ctx: WorkflowContext
    emitted: list[TriggerInput]
    _book: LogBook

    @property
    def logs(self) -> list[ContextLine]:
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
    ctx = _BenchContext(run=run, step=step, trigger=trigger, config=config or {}, book=book)
    return HandlerBench(ctx, ctx.emitted, book)


class _BenchContext(WorkflowContext):
    """Keeps what is emitted, from async handlers and from others."""

    __slots__ = ("emitted",)

    def __init__(
        self,
        *,
        run: WorkflowRun,
        step: WorkflowStepRun,
        trigger: TriggerEnvelope,
        config: JsonObject,
        book: LogBook,
    ) -> None:
        self.emitted: list[TriggerInput] = []
        super().__init__(
            run=run, step=step, trigger=trigger, config=config, book=book, emit=self._keep
        )

    async def _keep(self, signal: TriggerInput | Mapping[str, object]) -> TriggerEnvelope:
        return self.emit_blocking(signal)

    @override
    def emit_blocking(self, signal: TriggerInput | Mapping[str, object]) -> TriggerEnvelope:
        if not isinstance(signal, TriggerInput):
            signal = TriggerInput.model_validate(owned(signal, tenant_id=self.tenant_id))
        self.emitted.append(signal)
        return TriggerEnvelope(
            **dict(signal),
            id=new_id("trg"),
            created_at=utc_now(),
            caused_by_run_id=self.run.id,
            root_trigger_id=self.trigger.id,
            depth=1,
        )
