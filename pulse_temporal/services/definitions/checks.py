"""Check definitions against what only processes know: cron, handlers, signal types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from pydantic import BaseModel

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import Problem
from pulse_temporal.handlers.registry import Action, Condition, Registry
from pulse_temporal.model.definitions import WorkflowInput
from pulse_temporal.model.known_names import (
    UNCHECKED_HANDLERS,
    KnownNames,
    config_findings,
    handler_findings,
    signal_warnings,
)
from pulse_temporal.model.problems import Finding, to_problems
from pulse_temporal.model.steps import HandlerStep, walk
from pulse_temporal.model.validation import Check
from pulse_temporal.services.definitions.cron import cron_findings
from pulse_temporal.store import workers
from pulse_temporal.store.database import Database

WORKER_SILENCE = timedelta(minutes=1)
"""A process whose row is older than this counts as gone."""


async def known_names(
    database: Database, registry: Registry, options: EngineOptions
) -> KnownNames:
    """Return the names that live workers have published, and those of this process."""
    async with database.session() as session:
        published = await workers.published_names(
            session, task_queue=options.task_queue, silence=WORKER_SILENCE
        )
    return KnownNames(
        actions=published.actions | registry.actions.keys(),
        conditions=published.conditions | registry.conditions.keys(),
        signals=published.signals | registry.triggers.keys(),
        registrations=registry.triggers,
        accepts_any_signal=options.unregistered_signals == "accept",
        action_configs=_configs(registry.actions),
        condition_configs=_configs(registry.conditions),
    )


def check_of(known: KnownNames, *, needs_key: bool = False) -> Check:
    """Return the checks that need more than the models: cron, known handlers, a required key.

    Configs are held against the models of the handlers that this process has registered.
    """

    def findings(definition: Mapping[str, object]) -> Sequence[Finding]:
        found = [
            *cron_findings(definition),
            *handler_findings(definition, known),
            *config_findings(definition, known),
        ]
        if needs_key and definition.get("key") is None:
            found.append(Finding(("key",), "is required: by it the definition is found again"))
        return found

    return findings


def check_of_config(known: KnownNames) -> Check:
    """Return the checks of a change that leaves the steps alone: cron, and configs."""

    def findings(definition: Mapping[str, object]) -> Sequence[Finding]:
        return [*cron_findings(definition), *config_findings(definition, known)]

    return findings


def _configs(handlers: Mapping[str, Action | Condition]) -> dict[str, type[BaseModel]]:
    """Return the models of configs, by the names of handlers."""
    return {
        name: handler.config_schema
        for name, handler in handlers.items()
        if handler.config_schema is not None
    }


def warnings_of(
    definition: WorkflowInput, known: KnownNames, given: Mapping[str, object]
) -> list[Problem]:
    """Return what is accepted but looks wrong, such as a signal type that nobody registered."""
    findings = signal_warnings(definition, known, as_sent=given)
    # Unknown handlers of steps that the author has sent are errors, found by `check_of` before.
    if "steps" not in given:
        content = definition.model_dump(include={"steps"}, warnings=False)
        findings += handler_findings(content, known)
    warnings = to_problems(findings, data=given)
    has_handlers = any(isinstance(step, HandlerStep) for _, step in walk(definition.steps))
    if has_handlers and not known.has_handlers:
        warnings.append(UNCHECKED_HANDLERS)
    return warnings
