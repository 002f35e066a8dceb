"""Validate definitions: return a valid value, or raise every problem at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from pulse_temporal.config import Limits
from pulse_temporal.errors import DefinitionError, Problem
from pulse_temporal.model.definitions import WorkflowDefinition, WorkflowInput, WorkflowUpdate
from pulse_temporal.model.intake import Intake
from pulse_temporal.model.plain import cut_repr, is_mapping, json_kind
from pulse_temporal.model.problems import Finding, explain, to_problems
from pulse_temporal.model.values import Value

Check = Callable[[Mapping[str, object]], Sequence[Finding]]
"""A check that needs more than the definition; it is given the fields in the author's spelling."""


def parse_definition(
    data: WorkflowInput | Mapping[str, object], *, limits: Limits, check: Check | None = None
) -> WorkflowInput:
    """Return a definition that keeps every rule.

    Structure, names, limits and JSON are checked together, so that an author sees all
    mistakes at once. Pointers refer to ``data`` in its own spelling.

    Args:
        data: What the author sent, in camelCase or snake_case; may be hostile.
        limits: Bounds on steps, branches, depth, delay and size. Parallel steps nest at
            most 20 deep whatever the limit: deeper ones do not fit into canonical JSON.
        check: Returns further findings, about the cron expression and the names of handlers,
            which are raised together with the others.

    Raises:
        DefinitionError: One or more rules are broken; it has at most 100 problems.

    Source:
        Pulse README, "Workflows" and "Steps".
    """
    return _parse(
        fields_of(data, set_only=False), shown=None, limits=limits, noted=(), check=check
    )


def apply_update(
    current: WorkflowDefinition,
    data: WorkflowUpdate | Mapping[str, object],
    *,
    limits: Limits,
    check: Check | None = None,
) -> WorkflowInput:
    """Return the definition that results from a change, checked as a whole.

    Args:
        current: The definition as it is stored.
        data: The fields to change; None clears an optional one. Pointers refer to it.
        limits: As for ``parse_definition``.
        check: As for ``parse_definition``.

    Raises:
        DefinitionError: The result would break a rule, or a field cannot be changed.
    """
    given = fields_of(data, set_only=True)
    noted = [
        Finding((key,), "of a definition never changes; leave it out")
        for key in given
        if key in {"tenantId", "tenant_id"}
    ]
    changes = {key: value for key, value in given.items() if (key,) not in _places(noted)}
    kept: dict[str, object] = {
        name: getattr(current, name)
        for name in WorkflowInput.model_fields
        if name not in changes and to_camel(name) not in changes
    }
    return _parse({**changes, **kept}, shown=given, limits=limits, noted=noted, check=check)


def _places(findings: Sequence[Finding]) -> set[tuple[str | int, ...]]:
    return {found.place for found in findings}


def fields_of(data: object, *, set_only: bool) -> Mapping[str, object]:
    """Return the fields that a caller sent, in the caller's spelling.

    Args:
        data: A model or a mapping.
        set_only: Leave out the fields of a model that were not set.

    Raises:
        DefinitionError: It is neither.
    """
    if isinstance(data, Value):
        names = data.model_fields_set if set_only else set(type(data).model_fields)
        return {name: value for name, value in data if name in names}
    if not is_mapping(data):
        raise DefinitionError([Problem("", f"must be an object, not {json_kind(data)}")])
    return {key if isinstance(key, str) else cut_repr(key): value for key, value in data.items()}


def _parse(
    data: Mapping[str, object],
    *,
    shown: Mapping[str, object] | None,
    limits: Limits,
    noted: Sequence[Finding],
    check: Check | None,
) -> WorkflowInput:
    """Return ``data`` checked; problems have the spelling and order of ``shown``, or of itself."""
    seen = data if shown is None else shown
    intake = Intake(limits)
    copy = intake.read(data)
    findings = [*noted, *intake.findings, *(check(copy) if check else ())]
    try:
        definition = WorkflowInput.model_validate(copy)
    except ValidationError as error:
        findings += explain(error, data=seen, model=WorkflowInput)
    else:
        if not findings:
            return definition
    raise DefinitionError(to_problems(findings, data=seen))
