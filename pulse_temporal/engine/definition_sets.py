"""``engine.definitions.plan`` and ``apply``: whole sets of definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pulse_temporal.engine.operations import Methods, operation
from pulse_temporal.model.definitions import WorkflowInput
from pulse_temporal.model.plan import DefinitionsPlan
from pulse_temporal.services.definitions.plans import DefinitionSet


class DefinitionSetMethods(Methods):
    """What is done to all definitions of a set at once."""

    @operation
    async def plan(
        self,
        documents: Sequence[WorkflowInput | Mapping[str, object]],
        *,
        set_name: str,
        prune: bool = False,
        force: bool = False,
    ) -> DefinitionsPlan:
        """Return what ``apply`` would do; nothing is changed.

        Args:
            documents: As of ``apply``.
            set_name: As of ``apply``.
            prune: As of ``apply``.
            force: As of ``apply``.

        Returns:
            Its ``problems`` are why ``apply`` would refuse the set.

        Raises:
            InvalidInputError: The set cannot have this name, or has more than 10 000 documents.
        """
        return await self._parts.plans.plan(
            self._set_of(documents, set_name, prune=prune, force=force, note=None)
        )

    @operation
    async def apply(
        self,
        documents: Sequence[WorkflowInput | Mapping[str, object]],
        *,
        set_name: str,
        prune: bool = False,
        force: bool = False,
        note: str | None = None,
    ) -> DefinitionsPlan:
        """Make what is stored equal to a set of definitions, such as the files of a repository.

        A definition is found by tenant and key. What somebody has changed by hand since the last
        ``apply``, and what is of another set or of none, is a drift: it is told and left alone.
        Whether a definition is enabled is left alone too where its document does not say it.

        All documents are checked before anything is changed; then each tenant has a transaction.

        Args:
            documents: Definitions, each with its tenant and a ``key``.
            set_name: What belongs together; stored with the definitions.
            prune: Delete the definitions of this set that are not among the documents.
            force: Overwrite drifts too.
            note: Why, for the versions; cut at 1 000 bytes.

        Raises:
            DefinitionError: Some documents are wrong and nothing was changed; each pointer
                begins with the number of its document, from 0.
            DefinitionConflictError: Somebody else created one of the keys at the same moment.
            InvalidInputError: The set cannot have this name, or has more than 10 000 documents.
        """
        return await self._parts.plans.apply(
            self._set_of(documents, set_name, prune=prune, force=force, note=note)
        )

    def _set_of(
        self,
        documents: Sequence[WorkflowInput | Mapping[str, object]],
        name: str,
        *,
        prune: bool,
        force: bool,
        note: str | None,
    ) -> DefinitionSet:
        return DefinitionSet(
            name=name,
            documents=[self._scope.own(each) for each in documents],
            prune=prune,
            force=force,
            tenant_id=self._scope.narrow(None),
            note=note,
        )
