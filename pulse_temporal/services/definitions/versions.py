"""Versions of definitions: list them, read one, and what restoring one takes over."""

from __future__ import annotations

from pydantic import JsonValue

from pulse_temporal.errors import InvalidInputError, NotFoundError
from pulse_temporal.model.definitions import DefinitionVersion, WorkflowDefinition
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.runs import Page
from pulse_temporal.services.pages import check_limit, read_cursor, write_cursor
from pulse_temporal.store import versions
from pulse_temporal.store.database import Database
from pulse_temporal.store.places import KeysetPosition

NEWEST_VERSION = 2**31 - 1


class DefinitionHistory:
    """Reads the versions of definitions, deleted ones too.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    async def list_page(
        self, definition_id: str, *, tenant_id: str | None, limit: int, cursor: str | None
    ) -> Page[DefinitionVersion]:
        """Return one page of a definition's versions, newest first, without their content.

        Raises:
            NotFoundError: There was never such a definition.
        """
        check_limit(limit)
        async with self.database.session() as session:
            found = await versions.list_page(
                session, definition_id, tenant_id=tenant_id, before=_before(cursor), limit=limit
            )
        if found is None:
            raise unknown_definition(definition_id)
        items = tuple(found[:limit])
        next_cursor = None
        if len(found) > limit:
            last = items[-1]
            next_cursor = write_cursor(KeysetPosition(last.valid_from, str(last.version)))
        return Page[DefinitionVersion](items=items, next_cursor=next_cursor)

    async def get(
        self, definition_id: str, number: int, *, tenant_id: str | None
    ) -> DefinitionVersion | None:
        """Return a version with its content; None when there is none of this number."""
        check_number(number)
        async with self.database.session() as session:
            return await versions.get(session, definition_id, number, tenant_id=tenant_id)


def check_number(number: int) -> None:
    """Refuse what is no number of a version."""
    # type() rather than isinstance(): True is an int.
    if type(number) is not int or not 1 <= number <= NEWEST_VERSION:
        raise InvalidInputError(
            "The number of a version is a whole number of at least 1, not "
            f"{cut_repr(number)[:100]}."
        )


def restorable(
    old: DefinitionVersion | None, number: int, *, current: WorkflowDefinition
) -> dict[str, JsonValue]:
    """Return what a definition is to become when an old version is restored.

    Its key and whether it is enabled stay: what somebody has disabled must not start by itself.

    Args:
        old: The version; None when there is none.
        number: Of the version.
        current: The definition as it is.

    Raises:
        NotFoundError: There is no such version, or its content is not on record.
    """
    if old is None:
        raise NotFoundError(
            f"Definition {current.id} has no version {number}; its newest one is "
            f"{current.version}."
        )
    if old.content is None:
        raise NotFoundError(
            f"The content of version {number} of definition {current.id} is not on record: an "
            "older release has made it."
        )
    content = {name: value for name, value in old.content.items() if name != "key"}
    content["isEnabled"] = current.is_enabled
    return content if current.key is None else {**content, "key": current.key}


def unknown_definition(definition_id: str) -> NotFoundError:
    """Return the error for a definition that there is not."""
    return NotFoundError(f"There is no workflow definition {definition_id}.")


def _before(cursor: str | None) -> int | None:
    """Return the version that a page ends before; None: it begins with the newest one."""
    if cursor is None:
        return None
    number = read_cursor(cursor).id
    if not number.isdecimal() or not 1 <= int(number[:10]) <= NEWEST_VERSION:
        raise InvalidInputError(f"{cut_repr(cursor)[:100]} is not a cursor of an earlier page.")
    return int(number[:10])
