"""Check names in a definition that only processes know: handlers and signal types."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from pulse_temporal.errors import Problem
from pulse_temporal.model.configs import config_problems, placed
from pulse_temporal.model.definitions import WorkflowInput
from pulse_temporal.model.plain import is_mapping, is_sequence
from pulse_temporal.model.problems import MAX_PROBLEMS, Finding, Place, did_you_mean
from pulse_temporal.model.signals import TriggerRegistration
from pulse_temporal.model.values import is_name


def _no_configs() -> dict[str, type[BaseModel]]:
    return {}


@dataclass(frozen=True, slots=True)
class KnownNames:
    """Names that this process has registered or live workers have published.

    Attributes:
        actions: Names of actions.
        conditions: Names of conditions.
        signals: Types of signals.
        registrations: Of the signal types that this process has registered.
        accepts_any_signal: Whether signals need no registration.
        action_configs: Models that the configs of actions must fit, of those that this process has
            registered with one.
        condition_configs: The same of conditions.
    """

    actions: Collection[str]
    conditions: Collection[str]
    signals: Collection[str]
    registrations: Mapping[str, TriggerRegistration]
    accepts_any_signal: bool
    action_configs: Mapping[str, type[BaseModel]] = field(default_factory=_no_configs)
    condition_configs: Mapping[str, type[BaseModel]] = field(default_factory=_no_configs)

    @property
    def has_handlers(self) -> bool:
        """Whether any handler is known; as long as none is, no name can be called wrong."""
        return bool(self.actions or self.conditions)


def handler_findings(definition: Mapping[str, object], known: KnownNames) -> list[Finding]:
    """Return a finding for every step whose handler is not known, at most 101.

    Args:
        definition: As its author sent it; it may break other rules, which are not reported here.
        known: The known names. If it has no handlers at all, nothing is found.
    """
    findings: list[Finding] = []
    if not known.has_handlers:
        return findings
    for place, step in _walk(definition.get("steps"), ("steps",)):
        found = _unknown_handler(place, step, known)
        if found is not None:
            findings.append(found)
        if len(findings) > MAX_PROBLEMS:
            break
    return findings


def config_findings(definition: Mapping[str, object], known: KnownNames) -> list[Finding]:
    """Return a finding for everything in a config that the model of a handler refuses.

    Args:
        definition: As for ``handler_findings``.
        known: Has the models.
    """
    findings: list[Finding] = []
    if not (known.action_configs or known.condition_configs):
        return findings
    shared = definition.get("config")
    for place, step in _walk(definition.get("steps"), ("steps",)):
        models = known.action_configs if step.get("type") == "action" else known.condition_configs
        name = step.get("name") if step.get("uses") is None else step.get("uses")
        schema = models.get(name) if isinstance(name, str) and _calls(step) else None
        if schema is None:
            continue
        own = step.get("config")
        merged = {**_texts(shared), **_texts(own)}
        findings += [
            placed(found, step=place, own=own, shared=shared)
            for found in config_problems(schema, merged)
        ]
        if len(findings) > MAX_PROBLEMS:
            break
    return findings[: MAX_PROBLEMS + 1]


def _calls(step: Mapping[str, object]) -> bool:
    return step.get("type") in {"action", "condition"}


def _texts(config: object) -> dict[str, object]:
    """Return a config; nothing where it is none, which is a problem of its own."""
    if not is_mapping(config):
        return {}
    return {key: value for key, value in config.items() if isinstance(key, str)}


def signal_warnings(
    definition: WorkflowInput, known: KnownNames, *, as_sent: Mapping[str, object]
) -> list[Finding]:
    """Return why signals could never start a definition, as far as the known names tell.

    Args:
        definition: A valid definition. With a cron, its type need not be registered: ticks
            need no registration.
        known: The known names.
        as_sent: The same definition in its author's spelling.
    """
    findings: list[Finding] = []
    type_ = definition.trigger_type
    is_strange = type_ not in known.signals and not known.accepts_any_signal
    if is_strange and definition.cron_expression is None:
        place = _spelled("trigger_type", "triggerType", as_sent)
        message = (
            f'no signal type "{type_}" is registered by this process or published by a live '
            "worker; a process that has not registered it refuses to emit it"
        )
        findings.append(Finding(place, message, did_you_mean(type_, known.signals)))
    registered = known.registrations.get(type_)
    wanted = definition.resource_type_filter
    if registered and registered.resource_type and wanted not in {None, registered.resource_type}:
        place = _spelled("resource_type_filter", "resourceTypeFilter", as_sent)
        message = (
            f'never matches: signals of type "{type_}" are registered with the resource type '
            f'"{registered.resource_type}"'
        )
        findings.append(Finding(place, message))
    return findings


UNCHECKED_HANDLERS = Problem(
    "/steps",
    "the names of handlers were not checked: this process has registered none, and no live "
    "worker has published any",
)


def _spelled(snake: str, camel: str, as_sent: Mapping[str, object]) -> Place:
    return (snake if snake in as_sent else camel,)


def _walk(steps: object, place: Place) -> Iterator[tuple[Place, Mapping[str, object]]]:
    """Yield the steps of a list, including those in branches, with their places."""
    if not is_sequence(steps):
        return
    for index, step in enumerate(steps):
        if not is_mapping(step):
            continue
        fields = {key: value for key, value in step.items() if isinstance(key, str)}
        yield (*place, index), fields
        branches = fields.get("branches")
        if is_sequence(branches):
            for number, branch in enumerate(branches):
                yield from _walk(branch, (*place, index, "branches", number))


def _unknown_handler(
    place: Place, step: Mapping[str, object], known: KnownNames
) -> Finding | None:
    if step.get("type") == "action":
        kind, names, other, others = "action", known.actions, "condition", known.conditions
    elif step.get("type") == "condition":
        kind, names, other, others = "condition", known.conditions, "action", known.actions
    else:
        return None
    field = "name" if step.get("uses") is None else "uses"
    name = step.get(field)
    if not isinstance(name, str) or name in names or not is_name(name):
        return None
    if name in others:
        hint = f'{_a(other)} has that name. Did you mean "type": "{other}"?'
    else:
        hint = did_you_mean(name, names)
    return Finding((*place, field), f'no {kind} named "{name}" is registered', hint)


def _a(noun: str) -> str:
    return f"An {noun}" if noun.startswith("a") else f"A {noun}"
