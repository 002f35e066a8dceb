"""Compare a set of definitions, as its files say, with what is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pulse_temporal.errors import Problem
from pulse_temporal.model.acting import LIBRARY
from pulse_temporal.model.definitions import WorkflowDefinition, WorkflowInput
from pulse_temporal.model.diff import DefinitionDifference, difference_of
from pulse_temporal.model.values import JsonObject, Name, TenantId, Value

ChangeAction = Literal["create", "update", "delete", "none", "drift"]


class PlannedChange(Value):
    """What applying a set does to one definition.

    Attributes:
        tenant_id: Whose it is.
        key: Its key.
        action: ``drift`` is left alone: somebody has changed it by hand, or it is of another set.
        definition_id: None for one that is not stored yet.
        version: Its version before; None for one that is not stored yet.
        difference: What the set says otherwise than what is stored.
        drift: What was changed by hand; also of one that is overwritten with ``force``.
    """

    tenant_id: TenantId
    key: Name
    action: ChangeAction
    definition_id: str | None = None
    version: int | None = None
    difference: DefinitionDifference = DefinitionDifference()
    drift: str | None = None


class DefinitionsPlan(Value):
    """What applying a set of definitions does, or has done.

    Attributes:
        set_name: Of the set.
        changes: By tenant, in the order of the documents; deletions last.
        problems: Why the set cannot be applied; each pointer begins with the document's number in
            the list, from 0. With problems there are no changes.
        is_applied: It was done, but for the drifts; False: nothing was.
    """

    set_name: Name
    changes: tuple[PlannedChange, ...] = ()
    problems: tuple[Problem, ...] = ()
    is_applied: bool = False

    def count(self, action: ChangeAction) -> int:
        """Return how many definitions this happens to."""
        return sum(change.action == action for change in self.changes)

    @property
    def is_empty(self) -> bool:
        """Whether all is as the set says."""
        return not self.problems and self.count("none") == len(self.changes)


@dataclass(frozen=True, slots=True)
class WantedDefinition:
    """A definition of a set.

    Attributes:
        content: All of it, with a key.
        says_enabled: Whether it says if it is enabled; else what is stored stays.
    """

    content: WorkflowInput
    says_enabled: bool

    @property
    def key(self) -> str:
        """Its key, which every definition of a set has."""
        return self.content.key or ""

    def over(self, stored: WorkflowDefinition) -> WorkflowInput:
        """Return what is to be stored in place of what is there."""
        if self.says_enabled:
            return self.content
        return self.content.model_copy(update={"is_enabled": stored.is_enabled})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDefinition:
    """A definition as it is stored, and what is known of its set.

    Attributes:
        definition: As it is stored.
        managed_by: Its set; None when it is of none.
        applied_version: Its version when the set was last applied.
        content_version: The newest version that changed more than whether it is enabled.
        changed_by: Who made its newest version.
    """

    definition: WorkflowDefinition
    managed_by: str | None
    applied_version: int | None
    content_version: int
    changed_by: str | None


def plan_changes(
    wanted: Sequence[WantedDefinition],
    kept: Sequence[KeptDefinition],
    *,
    set_name: str,
    prune: bool,
    force: bool,
) -> Iterator[PlannedChange]:
    """Yield what is to be done about the definitions of one tenant.

    Args:
        wanted: What the set says, each key once.
        kept: The tenant's definitions of the set, and those that have one of the keys.
        set_name: Of the set.
        prune: Delete those of this set that it does not have any more.
        force: Overwrite, and delete, also what was changed by hand or is of another set.
    """
    by_key = {each.definition.key: each for each in kept}
    for each in wanted:
        found = by_key.get(each.key)
        if found is None:
            yield PlannedChange(tenant_id=each.content.tenant_id, key=each.key, action="create")
        else:
            yield _compared(each, found, set_name=set_name, force=force)
    keys = {each.key for each in wanted}
    for found in kept if prune else ():
        if found.managed_by == set_name and found.definition.key not in keys:
            drift = _by_hand(found, found.content_version)
            yield _change(found, "delete", drift=drift, force=force)


def _compared(
    each: WantedDefinition, found: KeptDefinition, *, set_name: str, force: bool
) -> PlannedChange:
    new = each.over(found.definition)
    difference = difference_of(_content(found.definition), _content(new))
    if difference.is_empty:
        return _change(found, "none", drift=None, force=force)
    drift = _drift(found, difference, set_name)
    changed = _change(found, "update", drift=drift, force=force)
    return changed.model_copy(update={"difference": difference})


def _change(
    found: KeptDefinition, action: ChangeAction, *, drift: str | None, force: bool
) -> PlannedChange:
    stored = found.definition
    return PlannedChange(
        tenant_id=stored.tenant_id,
        key=stored.key or stored.id,
        action="drift" if drift and not force else action,
        definition_id=stored.id,
        version=stored.version,
        drift=drift,
    )


def _drift(found: KeptDefinition, difference: DefinitionDifference, set_name: str) -> str | None:
    """Return why a definition is not simply overwritten; None when it is."""
    if found.managed_by is None:
        return "is of no set; somebody else stores it"
    if found.managed_by != set_name:
        return f"is of the set {found.managed_by!r}"
    is_switched = any(each.field == "isEnabled" for each in difference.fields)
    return _by_hand(found, found.definition.version if is_switched else found.content_version)


def _by_hand(found: KeptDefinition, newest: int) -> str | None:
    if found.applied_version is None or newest <= found.applied_version:
        return None
    is_named = found.changed_by not in {None, LIBRARY.name}
    by = f" by {found.changed_by}" if is_named else ""
    return f"was changed{by} since it was applied (v{newest})"


def _content(definition: WorkflowInput) -> JsonObject:
    """Return the content of a definition as JSON, without what was left out."""
    fields = set(WorkflowInput.model_fields) - {"tenant_id", "key"}
    return definition.model_dump(mode="json", include=fields, exclude_none=True, warnings=False)
