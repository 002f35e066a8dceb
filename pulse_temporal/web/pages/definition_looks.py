"""Definitions in words: what starts them, what their steps are, when their crons fire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from pulse_temporal.errors import DefinitionError
from pulse_temporal.model.cron_words import cron_words
from pulse_temporal.model.definitions import WorkflowDefinition
from pulse_temporal.model.lengths import length_text
from pulse_temporal.model.steps import ConditionStep, DelayStep, HandlerStep, Step, walk
from pulse_temporal.model.values import JsonObject
from pulse_temporal.services.definitions.cron import Cron, parse_cron
from pulse_temporal.services.definitions.cron_notes import ClockNote, clock_notes


@dataclass(frozen=True, slots=True)
class CronLook:
    """A cron as pages show it.

    Attributes:
        words: When it fires.
        zone: The zone whose local time it names.
        times: The next ones, soonest first; none while the definition is disabled.
        notes: What changes of the clock do to it.
        problem: Why it cannot be read; then there are neither words nor times.
    """

    words: str
    zone: str
    times: tuple[datetime, ...] = ()
    notes: tuple[ClockNote, ...] = ()
    problem: str = ""

    @property
    def next_at(self) -> datetime | None:
        """When it fires next; None when it does not."""
        return self.times[0] if self.times else None


@dataclass(frozen=True, slots=True)
class StepLook:
    """A step as a row of a table.

    Attributes:
        step: What it is.
        depth: Parallel steps round it.
        branch: Of which branch of the nearest one it is, from 0; None: of none.
        facts: What is special about it.
        config: What its handler is given, beside that of the definition.
    """

    path: str
    step: Step
    depth: int
    branch: int | None
    facts: tuple[str, ...]
    config: JsonObject | None


def clock_of(definition: WorkflowDefinition, *, now: datetime, number: int = 1) -> CronLook | None:
    """Return the clock of a definition; None when it has no cron."""
    if definition.cron_expression is None:
        return None
    zone = definition.timezone or "UTC"
    try:
        cron = parse_cron(definition.cron_expression, definition.timezone)
    except DefinitionError as error:  # an older release has stored it
        return CronLook("", zone, problem=str(error))
    return clock_from(cron, now=now, number=number if definition.is_enabled else 0)


def clock_from(cron: Cron, *, now: datetime, number: int) -> CronLook:
    """Return how a cron fires: its next times, of any number."""
    return CronLook(
        words=cron_words(cron.fields),
        zone=cron.zone.key,
        times=tuple(islice(cron.times_after(now), number)),
        notes=tuple(clock_notes(cron, after=now)),
    )


def starts_on(definition: WorkflowDefinition) -> str:
    """Return what starts a definition, in words."""
    told = f"Starts on {definition.trigger_type}"
    if definition.resource_type_filter:
        told += f" about a {definition.resource_type_filter}"
    if definition.environment_filter:
        told += f" in {definition.environment_filter}"
    return told


def step_looks(definition: WorkflowDefinition) -> list[StepLook]:
    """Return the steps of a definition in document order, branches after their step."""
    return [
        StepLook(
            path=path,
            step=step,
            depth=path.count("/b"),
            branch=int(path.rsplit("/b", 1)[1].partition("/")[0]) if "/b" in path else None,
            facts=tuple(_facts(step)),
            config=step.config or None,
        )
        for path, step in walk(definition.steps)
    ]


def _facts(step: Step) -> list[str]:
    if isinstance(step, DelayStep):
        return [f"waits {length_text(timedelta(milliseconds=step.delay_ms))}"]
    if not isinstance(step, HandlerStep):
        return []
    facts: list[str] = []
    if step.uses and step.uses != step.name:
        facts.append(f"uses {step.uses}")
    if isinstance(step, ConditionStep):
        facts.append(f"when false: {step.on_false}")
    if step.retry_policy:
        facts.append(f"at most {step.retry_policy.max_attempts} attempts")
    if step.timeout_ms:
        facts.append(f"at most {length_text(timedelta(milliseconds=step.timeout_ms))}")
    return facts
