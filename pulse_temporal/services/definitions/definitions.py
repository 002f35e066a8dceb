"""Create, change and delete workflow definitions.

Every change first locks the definition's row, and is applied to what the row then says. So
changes to different fields at the same moment all take effect, and versions are in order of time
(``tests/faults/test_races.py::disable_against_update``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pulse_temporal.config import EngineOptions
from pulse_temporal.errors import (
    DefinitionConflictError,
    DefinitionError,
    InvalidInputError,
    NotUnderstoodError,
    Problem,
)
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.model.acting import noted
from pulse_temporal.model.definitions import (
    PutOutcome,
    PutWorkflow,
    ValidationReport,
    WorkflowDefinition,
    WorkflowInput,
    WorkflowUpdate,
)
from pulse_temporal.model.ids import new_id
from pulse_temporal.model.known_names import KnownNames
from pulse_temporal.model.validation import Check, apply_update, fields_of, parse_definition
from pulse_temporal.postgres.sessions import Session, repeats
from pulse_temporal.services.definitions.checks import (
    check_of,
    check_of_config,
    known_names,
    warnings_of,
)
from pulse_temporal.services.definitions.cron import cron_findings
from pulse_temporal.services.definitions.stored import StoredDefinitions
from pulse_temporal.services.definitions.versions import (
    check_number,
    restorable,
    unknown_definition,
)
from pulse_temporal.store import definitions, outbox, versions
from pulse_temporal.store.database import Database

log: logging.Logger = logging.getLogger(__name__)

PUT_ROUNDS = 5
"""Tries of a ``put``: between its look-up of the key and its write, others may create or delete
the definition of that key."""


class Definitions(StoredDefinitions):
    """Creates, changes and deletes definitions, beside reading them."""

    def __init__(self, database: Database, registry: Registry, options: EngineOptions) -> None:
        super().__init__(database)
        self.registry = registry
        self.options = options

    @repeats
    async def create(
        self, content: WorkflowInput | Mapping[str, object], *, note: str | None
    ) -> WorkflowDefinition:
        """Store a definition; see ``Engine.create_workflow``."""
        given = fields_of(content, set_only=True)
        known = await known_names(self.database, self.registry, self.options)
        parsed = self.parse(given, known)
        async with self.database.transaction() as session:
            stored = await self.insert(session, parsed, note=note)
            if stored is None:
                raise await self._key_taken(session, parsed)
        return self._warned(stored, known, given)

    @repeats
    async def put(
        self, content: WorkflowInput | Mapping[str, object], *, key: str | None, note: str | None
    ) -> PutWorkflow:
        """Create or update the definition of a key; see ``Engine.put_workflow``."""
        given = _with_key(fields_of(content, set_only=True), key)
        known = await known_names(self.database, self.registry, self.options)
        parsed = self.parse(given, known, needs_key=True)
        for _ in range(PUT_ROUNDS):
            async with self.database.transaction() as session:
                put = await self._put(session, parsed, given, note=note)
            if put is None:
                continue
            if put.outcome == "unchanged":
                return put
            warned = self._warned(put.definition, known, given)
            return put.model_copy(update={"definition": warned})
        raise DefinitionConflictError(
            f"The key {parsed.key!r} of tenant {parsed.tenant_id!r} is created and deleted by "
            "others all the time; nothing was stored."
        )

    async def _put(
        self,
        session: Session,
        parsed: WorkflowInput,
        given: Mapping[str, object],
        *,
        note: str | None,
    ) -> PutWorkflow | None:
        """Make one try; return None when the key was taken after the look-up had not found it."""
        current = await definitions.lock_by_key(
            session, tenant_id=parsed.tenant_id, key=parsed.key or ""
        )
        if current is None:
            stored = await self.insert(session, parsed, note=note)
            return PutWorkflow(definition=stored, outcome="created") if stored else None
        # A deployment puts its definitions again and again; it must not enable one by default
        # that somebody has disabled.
        if given.keys().isdisjoint({"isEnabled", "is_enabled"}):
            parsed = parsed.model_copy(update={"is_enabled": current.is_enabled})
        updated = await self.replace(session, current, parsed, note=note)
        outcome: PutOutcome = "updated" if updated else "unchanged"
        return PutWorkflow(definition=updated or current, outcome=outcome)

    @repeats
    async def update(
        self,
        definition_id: str,
        change: WorkflowUpdate | Mapping[str, object],
        *,
        tenant_id: str | None,
        version: int | None,
        note: str | None,
    ) -> WorkflowDefinition:
        """Change a definition; see ``Engine.update_workflow``."""
        _check_version(version)
        given = fields_of(change, set_only=True)
        known = await known_names(self.database, self.registry, self.options)
        async with self.database.transaction() as session:
            current = await self._locked(
                session, definition_id, tenant_id=tenant_id, version=version
            )
            # Handlers are checked only if the steps change: the worker that knows them may be
            # away, which must not keep anybody from renaming a definition.
            parsed = apply_update(
                current,
                given,
                limits=self.options.limits,
                check=_check_of_change(given, known),
            )
            updated = await self.replace(session, current, parsed, note=note)
        return self._warned(updated, known, given) if updated else current

    @repeats
    async def restore(
        self,
        definition_id: str,
        number: int,
        *,
        tenant_id: str | None,
        version: int | None,
        note: str | None,
    ) -> WorkflowDefinition:
        """Make a new version with the content of an old one; see ``Engine.restore_version``."""
        _check_version(version)
        check_number(number)
        known = await known_names(self.database, self.registry, self.options)
        async with self.database.transaction() as session:
            current = await self._locked(
                session, definition_id, tenant_id=tenant_id, version=version
            )
            old = await versions.get(session, definition_id, number, tenant_id=current.tenant_id)
            given = restorable(old, number, current=current)
            parsed = self.parse(given, known)
            updated = await self.replace(session, current, parsed, note=note, restored=number)
        return self._warned(updated, known, given) if updated else current

    async def validate(self, content: WorkflowInput | Mapping[str, object]) -> ValidationReport:
        """Return what is wrong with a definition; see ``Engine.validate_workflow``."""
        known = await known_names(self.database, self.registry, self.options)
        try:
            given = fields_of(content, set_only=True)
            parsed = self.parse(given, known)
        except DefinitionError as error:
            return ValidationReport(problems=error.problems)
        return ValidationReport(warnings=tuple(warnings_of(parsed, known, given)))

    def parse(
        self, given: Mapping[str, object], known: KnownNames, *, needs_key: bool = False
    ) -> WorkflowInput:
        """Return a definition that keeps every rule.

        Raises:
            DefinitionError: With every problem found.
        """
        check = check_of(known, needs_key=needs_key)
        return parse_definition(given, limits=self.options.limits, check=check)

    async def insert(
        self, session: Session, content: WorkflowInput, *, note: str | None
    ) -> WorkflowDefinition | None:
        """Store a new definition and ask for its schedule; return None when its key is taken."""
        stored = await definitions.insert(session, new_id("wfd"), content, note=noted(note))
        if stored is not None and stored.cron_expression is not None:
            await self._ask_for_schedule(session, stored)
        return stored

    async def replace(
        self,
        session: Session,
        current: WorkflowDefinition,
        content: WorkflowInput,
        *,
        note: str | None,
        restored: int | None = None,
    ) -> WorkflowDefinition | None:
        """Replace a locked definition's content; return None when nothing differs.

        Raises:
            NotUnderstoodError: A newer release wrote it; this one would drop the parts that it
                does not know.
        """
        if current.not_understood is not None:
            raise NotUnderstoodError(f"{current.id}: {current.not_understood}")
        updated = await definitions.update(
            session, current.id, content, note=noted(note), restored=restored
        )
        # Also when only the old content had a cron: its schedule must go.
        if updated is not None and (current.cron_expression or updated.cron_expression):
            await self._ask_for_schedule(session, updated)
        return updated

    async def remove(
        self, session: Session, current: WorkflowDefinition, *, note: str | None
    ) -> None:
        """Delete a locked definition, and have its schedule deleted."""
        await definitions.delete(session, current, note=noted(note))
        if current.cron_expression is not None:
            await self._ask_for_schedule(session, current)

    async def _ask_for_schedule(self, session: Session, definition: WorkflowDefinition) -> None:
        """Write the command to sync the schedule, in the transaction of the change itself.

        So no change is stored whose schedule nobody would update.
        """
        await outbox.put_schedule(
            session,
            task_queue=self.options.task_queue,
            tenant_id=definition.tenant_id,
            definition_id=definition.id,
        )

    async def _locked(
        self,
        session: Session,
        definition_id: str,
        *,
        tenant_id: str | None,
        version: int | None = None,
    ) -> WorkflowDefinition:
        """Lock a definition and return it.

        Raises:
            NotFoundError: There is none.
            DefinitionConflictError: It has another version than the one that is expected.
        """
        found = await definitions.lock(session, definition_id, tenant_id=tenant_id)
        if found is None:
            raise unknown_definition(definition_id)
        if version is not None and version != found.version:
            raise _changed_since(found, version)
        return found

    async def _key_taken(
        self, session: Session, content: WorkflowInput
    ) -> DefinitionConflictError:
        """Return the error for a key that is taken, naming its definition if it still exists."""
        taken = await definitions.lock_by_key(
            session, tenant_id=content.tenant_id, key=content.key or ""
        )
        owner = f"definition {taken.id}" if taken else "a definition that was deleted since"
        return DefinitionConflictError(
            f"The key {content.key!r} of tenant {content.tenant_id!r} belongs to {owner}; "
            "put_workflow updates it.",
            definition_id=taken.id if taken else None,
            current_version=taken.version if taken else None,
        )

    @repeats
    async def set_enabled(
        self, definition_id: str, *, tenant_id: str | None, is_enabled: bool, note: str | None
    ) -> None:
        """Enable or disable a definition; no change when it is so already.

        Its schedule is synced in any case: to call this again repairs a schedule that Temporal
        has lost or refused.
        """
        async with self.database.transaction() as session:
            current = await self._locked(session, definition_id, tenant_id=tenant_id)
            if current.is_enabled != is_enabled:
                await definitions.set_enabled(
                    session, current, is_enabled=is_enabled, note=noted(note)
                )
            if current.cron_expression is not None:
                await self._ask_for_schedule(session, current)

    @repeats
    async def delete(self, definition_id: str, *, tenant_id: str | None, note: str | None) -> None:
        """Delete a definition, or raise NotFoundError; its runs are kept and go on."""
        async with self.database.transaction() as session:
            current = await self._locked(session, definition_id, tenant_id=tenant_id)
            await self.remove(session, current, note=note)

    def _warned(
        self, stored: WorkflowDefinition, known: KnownNames, given: Mapping[str, object]
    ) -> WorkflowDefinition:
        """Return a definition that was just stored together with its warnings; log them."""
        warnings = tuple(warnings_of(stored, known, given))
        for warning in warnings:
            log.warning("Definition %s was stored; look at %s", stored.id, warning)
        return stored.model_copy(update={"warnings": warnings})


def _check_of_change(given: Mapping[str, object], known: KnownNames) -> Check:
    """Return the checks of an update: only what it changes may be refused."""
    if "steps" in given:
        return check_of(known)
    return check_of_config(known) if "config" in given else cron_findings


def _with_key(given: Mapping[str, object], key: str | None) -> Mapping[str, object]:
    """Return the content with the key that was passed beside it; raise if it has another one."""
    if key is None:
        return given
    if given.get("key", key) != key:
        raise DefinitionError([Problem("/key", f"is not the key that was given: {key!r}")])
    return {**given, "key": key}


def _check_version(version: int | None) -> None:
    # type() rather than isinstance(): True is an int.
    if version is not None and (type(version) is not int or version < 1):
        raise InvalidInputError("version must be a whole number of at least 1, or None.")


def _changed_since(current: WorkflowDefinition, version: int) -> DefinitionConflictError:
    return DefinitionConflictError(
        f"Definition {current.id} has version {current.version} now, and the change was made for "
        f"version {version}. Read it again and decide anew; nothing was changed.",
        definition_id=current.id,
        current_version=current.version,
    )
