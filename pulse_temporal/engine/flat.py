"""The flat names, which the TypeScript Pulse has: each is a method of a namespace."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Unpack

from pulse_temporal.config import Duration
from pulse_temporal.engine.definitions import EngineDefinitions
from pulse_temporal.engine.flat_views import FlatViewMethods
from pulse_temporal.engine.operations import operation
from pulse_temporal.engine.scope import TenantScope
from pulse_temporal.engine.wiring import Parts
from pulse_temporal.model.definitions import (
    DefinitionVersion,
    PutWorkflow,
    ValidationReport,
    WorkflowDefinition,
    WorkflowInput,
    WorkflowUpdate,
)
from pulse_temporal.model.explain import Explanation
from pulse_temporal.model.plan import DefinitionsPlan
from pulse_temporal.model.runs import (
    ExecutionLog,
    LogLevel,
    Page,
    RunFilter,
    RunFilterFields,
    StepAttempt,
    WorkflowRun,
    WorkflowStepRun,
)
from pulse_temporal.model.signals import TriggerEnvelope, TriggerInput
from pulse_temporal.model.timeline import RunTimelineEntry
from pulse_temporal.postgres.connection import Connection


class FlatMethods(FlatViewMethods):
    """The same methods by one name, as in the TypeScript Pulse: ``get_run`` is ``runs.get``."""

    def __init__(self, parts: Parts, scope: TenantScope) -> None:
        super().__init__(parts, scope)
        self._definitions = EngineDefinitions(parts, scope)

    @operation
    async def emit(
        self,
        signal: TriggerInput | Mapping[str, object],
        *,
        connection: Connection | None = None,
    ) -> TriggerEnvelope:
        """Store a signal and plan its runs: ``signals.emit``."""
        return await self._signals.emit(signal, connection=connection)

    @operation
    async def emit_many(
        self,
        signals: Sequence[TriggerInput | Mapping[str, object]],
        *,
        connection: Connection | None = None,
    ) -> list[TriggerEnvelope]:
        """Store many signals at once: ``signals.emit_many``."""
        return await self._signals.emit_many(signals, connection=connection)

    @operation
    async def get_trigger(
        self, trigger_id: str, *, tenant_id: str | None = None
    ) -> TriggerEnvelope | None:
        """Return a stored signal, or None: ``signals.get``."""
        return await self._signals.get(trigger_id, tenant_id=tenant_id)

    @operation
    async def replay(
        self,
        trigger_id: str,
        *,
        dry_run: bool = False,
        tenant_id: str | None = None,
        idempotency_key: str | None = None,
        reason: str | None = None,
    ) -> list[WorkflowRun]:
        """Run a stored signal again: ``signals.replay``."""
        return await self._signals.replay(
            trigger_id,
            dry_run=dry_run,
            tenant_id=tenant_id,
            idempotency_key=idempotency_key,
            reason=reason,
        )

    @operation
    async def explain(
        self, signal: TriggerInput | Mapping[str, object] | str, *, tenant_id: str | None = None
    ) -> Explanation:
        """Return why a signal did or did not start each definition: ``signals.explain``."""
        return await self._signals.explain(signal, tenant_id=tenant_id)

    @operation
    async def create_workflow(
        self, definition: WorkflowInput | Mapping[str, object], *, note: str | None = None
    ) -> WorkflowDefinition:
        """Store a workflow definition: ``definitions.create``."""
        return await self._definitions.create(definition, note=note)

    @operation
    async def put_workflow(
        self,
        definition: WorkflowInput | Mapping[str, object],
        *,
        key: str | None = None,
        note: str | None = None,
    ) -> PutWorkflow:
        """Create a definition, or make the one of its key equal to it: ``definitions.put``."""
        return await self._definitions.put(definition, key=key, note=note)

    @operation
    async def plan_definitions(
        self,
        documents: Sequence[WorkflowInput | Mapping[str, object]],
        *,
        set_name: str,
        prune: bool = False,
        force: bool = False,
    ) -> DefinitionsPlan:
        """Return what applying a set would do: ``definitions.plan``."""
        return await self._definitions.plan(documents, set_name=set_name, prune=prune, force=force)

    @operation
    async def apply_definitions(
        self,
        documents: Sequence[WorkflowInput | Mapping[str, object]],
        *,
        set_name: str,
        prune: bool = False,
        force: bool = False,
        note: str | None = None,
    ) -> DefinitionsPlan:
        """Make what is stored equal to a set of definitions: ``definitions.apply``."""
        return await self._definitions.apply(
            documents, set_name=set_name, prune=prune, force=force, note=note
        )

    @operation
    async def validate_workflow(
        self, definition: WorkflowInput | Mapping[str, object]
    ) -> ValidationReport:
        """Return problems and warnings, and store nothing: ``definitions.validate``."""
        return await self._definitions.validate(definition)

    @operation
    async def update_workflow(
        self,
        definition_id: str,
        change: WorkflowUpdate | Mapping[str, object],
        *,
        tenant_id: str | None = None,
        version: int | None = None,
        note: str | None = None,
    ) -> WorkflowDefinition:
        """Change a definition: ``definitions.update``."""
        return await self._definitions.update(
            definition_id, change, tenant_id=tenant_id, version=version, note=note
        )

    @operation
    async def get_workflow(
        self, definition_id: str, *, tenant_id: str | None = None
    ) -> WorkflowDefinition | None:
        """Return a definition, or None: ``definitions.get``."""
        return await self._definitions.get(definition_id, tenant_id=tenant_id)

    @operation
    async def list_workflows(
        self,
        *,
        tenant_id: str | None = None,
        trigger_type: str | None = None,
        is_enabled: bool | None = None,
        has_cron: bool | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[WorkflowDefinition]:
        """Return one page of definitions: ``definitions.list``."""
        return await self._definitions.list(
            tenant_id=tenant_id,
            trigger_type=trigger_type,
            is_enabled=is_enabled,
            has_cron=has_cron,
            limit=limit,
            cursor=cursor,
        )

    @operation
    async def enable_workflow(
        self, definition_id: str, *, tenant_id: str | None = None, note: str | None = None
    ) -> None:
        """Let a definition match signals: ``definitions.enable``."""
        await self._definitions.enable(definition_id, tenant_id=tenant_id, note=note)

    @operation
    async def disable_workflow(
        self, definition_id: str, *, tenant_id: str | None = None, note: str | None = None
    ) -> None:
        """Let a definition match no more signals: ``definitions.disable``."""
        await self._definitions.disable(definition_id, tenant_id=tenant_id, note=note)

    @operation
    async def delete_workflow(
        self, definition_id: str, *, tenant_id: str | None = None, note: str | None = None
    ) -> None:
        """Delete a definition: ``definitions.delete``."""
        await self._definitions.delete(definition_id, tenant_id=tenant_id, note=note)

    @operation
    async def list_versions(
        self,
        definition_id: str,
        *,
        tenant_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[DefinitionVersion]:
        """Return one page of a definition's versions: ``definitions.list_versions``."""
        return await self._definitions.list_versions(
            definition_id, tenant_id=tenant_id, limit=limit, cursor=cursor
        )

    @operation
    async def get_version(
        self, definition_id: str, number: int, *, tenant_id: str | None = None
    ) -> DefinitionVersion | None:
        """Return a version with its content, or None: ``definitions.get_version``."""
        return await self._definitions.get_version(definition_id, number, tenant_id=tenant_id)

    @operation
    async def restore_version(
        self,
        definition_id: str,
        number: int,
        *,
        tenant_id: str | None = None,
        version: int | None = None,
        note: str | None = None,
    ) -> WorkflowDefinition:
        """Make a new version with the content of an old one: ``definitions.restore_version``."""
        return await self._definitions.restore_version(
            definition_id, number, tenant_id=tenant_id, version=version, note=note
        )

    @operation
    async def next_runs(
        self, definition_id: str, n: int = 5, *, tenant_id: str | None = None
    ) -> list[datetime]:
        """Return when a definition's cron fires next: ``definitions.next_times``."""
        return await self._definitions.next_times(definition_id, n, tenant_id=tenant_id)

    @operation
    async def get_run(self, run_id: str, *, tenant_id: str | None = None) -> WorkflowRun | None:
        """Return a run, or None: ``runs.get``."""
        return await self._runs.get(run_id, tenant_id=tenant_id)

    @operation
    async def list_runs(
        self,
        wanted: RunFilter | None = None,
        *,
        limit: int = 50,
        cursor: str | None = None,
        **fields: Unpack[RunFilterFields],
    ) -> Page[WorkflowRun]:
        """Return one page of runs: ``runs.list``, which may be given a ``RunFilter`` here.

        A field that is given beside the filter replaces the filter's.
        """
        chosen = RunFilterFields(**dict(wanted or ()))
        chosen.update(fields)
        return await self._runs.list(limit=limit, cursor=cursor, **chosen)

    @operation
    async def get_runs_by_trigger(
        self,
        trigger_id: str,
        *,
        tenant_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[WorkflowRun]:
        """Return one page of the runs of a signal and its replays: ``runs.list(trigger_id=…)``."""
        return await self._runs.list(
            trigger_id=trigger_id, tenant_id=tenant_id, limit=limit, cursor=cursor
        )

    @operation
    async def get_failed_runs(
        self, *, tenant_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[WorkflowRun]:
        """Return one page of failed runs: ``runs.list(status="failed")``."""
        return await self._runs.list(
            status="failed", tenant_id=tenant_id, limit=limit, cursor=cursor
        )

    @operation
    async def get_run_steps(
        self, run_id: str, *, tenant_id: str | None = None
    ) -> list[WorkflowStepRun]:
        """Return the step runs of a run, in document order: ``runs.steps``."""
        return await self._runs.steps(run_id, tenant_id=tenant_id)

    @operation
    async def get_step_attempts(
        self, run_id: str, path: str | None = None, *, tenant_id: str | None = None
    ) -> list[StepAttempt]:
        """Return the attempts of a run's steps with their tracebacks: ``runs.attempts``."""
        return await self._runs.attempts(run_id, path, tenant_id=tenant_id)

    @operation
    async def get_run_timeline(
        self, run_id: str, *, tenant_id: str | None = None
    ) -> list[RunTimelineEntry]:
        """Return what happened to a run, in order: ``runs.timeline``."""
        return await self._runs.timeline(run_id, tenant_id=tenant_id)

    @operation
    async def get_run_logs(
        self,
        run_id: str,
        *,
        tenant_id: str | None = None,
        levels: Collection[LogLevel] | None = None,
    ) -> list[ExecutionLog]:
        """Return the lines that handlers wrote with ``ctx.log``: ``runs.logs``."""
        return await self._runs.logs(run_id, tenant_id=tenant_id, levels=levels)

    @operation
    async def cancel_run(
        self,
        run_id: str,
        reason: str | None = None,
        *,
        tenant_id: str | None = None,
        by: str | None = None,
    ) -> WorkflowRun:
        """Cancel a run, for good: ``runs.cancel``."""
        return await self._runs.cancel(run_id, reason, tenant_id=tenant_id, by=by)

    @operation
    async def retry_run(
        self,
        run_id: str,
        *,
        reason: str | None = None,
        tenant_id: str | None = None,
        by: str | None = None,
    ) -> WorkflowRun:
        """Retry a failed run from the step that failed: ``runs.retry``."""
        return await self._runs.retry(run_id, reason=reason, tenant_id=tenant_id, by=by)

    @operation
    async def wait_for_run(
        self,
        run_id: str,
        timeout: Duration | None = 30.0,
        *,
        tenant_id: str | None = None,
    ) -> WorkflowRun:
        """Wait until a run is over: ``runs.wait``."""
        return await self._runs.wait(run_id, timeout, tenant_id=tenant_id)
