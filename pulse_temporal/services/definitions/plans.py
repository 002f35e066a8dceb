"""Apply a set of definitions, such as the files of a repository, and say before what it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pulse_temporal.errors import (
    DefinitionConflictError,
    DefinitionError,
    InvalidInputError,
    Problem,
    PulseError,
)
from pulse_temporal.model.definitions import WorkflowInput
from pulse_temporal.model.plan import (
    DefinitionsPlan,
    KeptDefinition,
    PlannedChange,
    WantedDefinition,
    plan_changes,
)
from pulse_temporal.model.validation import fields_of
from pulse_temporal.model.values import is_name
from pulse_temporal.postgres.sessions import Session, repeats
from pulse_temporal.services.definitions.checks import known_names
from pulse_temporal.services.definitions.definitions import Definitions
from pulse_temporal.store import plans
from pulse_temporal.store.database import Database

MOST_DOCUMENTS = 10_000

Document = WorkflowInput | Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionSet:
    """What is to be applied.

    Attributes:
        name: Of the set.
        documents: The definitions, with tenant and key.
        prune: Delete those of the set that are not among the documents.
        force: Overwrite what was changed by hand.
        tenant_id: Prune only this tenant's; None: every tenant's.
        note: Why, for the versions.
    """

    name: str
    documents: Sequence[Document]
    prune: bool
    force: bool
    tenant_id: str | None
    note: str | None


class DefinitionPlans:
    """Compares sets of definitions with what is stored, and applies them."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.database: Database = definitions.database

    async def plan(self, wanted: DefinitionSet) -> DefinitionsPlan:
        """Return what applying would do; nothing is changed."""
        by_tenant, problems = await self._checked(wanted)
        if problems:
            return DefinitionsPlan(set_name=wanted.name, problems=tuple(problems))
        changes: list[PlannedChange] = []
        async with self.database.session() as session:
            for tenant_id in await self._tenants(session, wanted, by_tenant):
                theirs = by_tenant.get(tenant_id, [])
                kept = await _read(session, wanted, tenant_id, theirs, lock=False)
                changes += _changes(wanted, theirs, kept)
        return DefinitionsPlan(set_name=wanted.name, changes=tuple(changes))

    async def apply(self, wanted: DefinitionSet) -> DefinitionsPlan:
        """Make what is stored equal to a set, a transaction for each tenant.

        Raises:
            DefinitionError: Nothing was changed; a pointer begins with the document's number.
            DefinitionConflictError: Others created a definition of the same key meanwhile.
        """
        by_tenant, problems = await self._checked(wanted)
        if problems:
            raise DefinitionError(problems)
        async with self.database.session() as session:
            tenants = await self._tenants(session, wanted, by_tenant)
        changes: list[PlannedChange] = []
        for number, tenant_id in enumerate(tenants):
            try:
                changes += await self._apply_to(wanted, tenant_id, by_tenant.get(tenant_id, []))
            except PulseError as error:
                if number:
                    error.add_note(f"Applied before that: {', '.join(tenants[:number])}.")
                raise
        return DefinitionsPlan(set_name=wanted.name, changes=tuple(changes), is_applied=True)

    @repeats
    async def _apply_to(
        self, wanted: DefinitionSet, tenant_id: str, theirs: Sequence[WantedDefinition]
    ) -> list[PlannedChange]:
        async with self.database.transaction() as session:
            kept = await _read(session, wanted, tenant_id, theirs, lock=True)
            changes = _changes(wanted, theirs, kept)
            for change in changes:
                await self._carry_out(session, wanted, change, theirs, kept)
        return changes

    async def _carry_out(
        self,
        session: Session,
        wanted: DefinitionSet,
        change: PlannedChange,
        theirs: Sequence[WantedDefinition],
        kept: Sequence[KeptDefinition],
    ) -> None:
        each = next((each for each in theirs if each.key == change.key), None)
        found = next((k for k in kept if k.definition.id == change.definition_id), None)
        note = wanted.note
        if change.action == "create" and each is not None:
            stored = await self.definitions.insert(session, each.content, note=note)
            if stored is None:
                raise DefinitionConflictError(
                    f"The key {change.key!r} of tenant {change.tenant_id!r} was taken meanwhile; "
                    "apply again."
                )
        elif found is None or change.action == "drift":
            return
        elif change.action == "delete":
            await self.definitions.remove(session, found.definition, note=note)
            return
        else:
            stored = found.definition
            if change.action == "update" and each is not None:
                content = each.over(stored)
                updated = await self.definitions.replace(session, stored, content, note=note)
                stored = updated or stored
            elif found.managed_by not in {None, wanted.name}:
                return  # equal by chance; it stays with its own set
        await plans.mark(session, stored, set_name=wanted.name)

    async def _tenants(
        self,
        session: Session,
        wanted: DefinitionSet,
        by_tenant: Mapping[str, Sequence[WantedDefinition]],
    ) -> list[str]:
        """Return the tenants of the documents, and those that only have what is pruned."""
        tenants = list(by_tenant)
        if wanted.prune:
            tenants += await plans.tenants_of_set(session, wanted.name, tenant_id=wanted.tenant_id)
        return list(dict.fromkeys(tenants))

    async def _checked(
        self, wanted: DefinitionSet
    ) -> tuple[dict[str, list[WantedDefinition]], list[Problem]]:
        """Return the definitions by tenant, and all that is wrong with any of them.

        Raises:
            InvalidInputError: The set cannot have this name, or has too many documents.
        """
        if not is_name(wanted.name):
            raise InvalidInputError("The name of a set has 1 to 200 characters on one line.")
        if len(wanted.documents) > MOST_DOCUMENTS:
            raise InvalidInputError(f"A set has at most {MOST_DOCUMENTS} documents.")
        owner = self.definitions
        known = await known_names(owner.database, owner.registry, owner.options)
        by_tenant: dict[str, list[WantedDefinition]] = {}
        problems: list[Problem] = []
        places: dict[tuple[str, str], int] = {}
        for number, document in enumerate(wanted.documents):
            try:
                given = fields_of(document, set_only=True)
                content = owner.parse(given, known, needs_key=True)
            except DefinitionError as error:
                problems += [_of_document(problem, number) for problem in error.problems]
                continue
            first = places.setdefault((content.tenant_id, content.key or ""), number)
            if first != number:
                message = f"is the key of document {first} of this tenant too"
                problems.append(Problem(f"/{number}/key", message))
            says_enabled = not given.keys().isdisjoint({"isEnabled", "is_enabled"})
            each = WantedDefinition(content, says_enabled)
            by_tenant.setdefault(content.tenant_id, []).append(each)
        return by_tenant, problems


def _of_document(problem: Problem, number: int) -> Problem:
    return replace(problem, pointer=f"/{number}{problem.pointer}")


async def _read(
    session: Session,
    wanted: DefinitionSet,
    tenant_id: str,
    theirs: Sequence[WantedDefinition],
    *,
    lock: bool,
) -> list[KeptDefinition]:
    keys = [each.key for each in theirs]
    return await plans.read(session, tenant_id, set_name=wanted.name, keys=keys, lock=lock)


def _changes(
    wanted: DefinitionSet, theirs: Sequence[WantedDefinition], kept: Sequence[KeptDefinition]
) -> list[PlannedChange]:
    return list(
        plan_changes(theirs, kept, set_name=wanted.name, prune=wanted.prune, force=wanted.force)
    )
