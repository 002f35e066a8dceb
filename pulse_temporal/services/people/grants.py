"""Check what somebody is to be allowed, and the names that go with it."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import TypeAdapter, ValidationError

from pulse_temporal.errors import InvalidInputError
from pulse_temporal.model.api_keys import SCOPES
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.values import Name

NAME: TypeAdapter[str] = TypeAdapter(Name)


def named(what: str, text: str) -> str:
    """Return a name, or a tenant's id.

    Raises:
        InvalidInputError: It is too long, empty, or of more than one line.
    """
    try:
        return NAME.validate_python(text)
    except ValidationError as error:
        reason = error.errors(include_input=False)[0]["msg"]
    raise InvalidInputError(f"{what}: {reason}.")


def known_scopes(given: Collection[str]) -> tuple[str, ...]:
    """Return scopes in order.

    Raises:
        InvalidInputError: There is none, or one is unknown.
    """
    # A text is a collection of letters, and what was meant is one scope.
    wanted = {given} if isinstance(given, str) else set(given)
    unknown = sorted(cut_repr(scope)[:100] for scope in wanted - SCOPES)
    if unknown or not wanted:
        told = f"{', '.join(unknown)}: no such scope; there" if unknown else "scopes: there"
        raise InvalidInputError(f"{told} are {', '.join(sorted(SCOPES))}.")
    return tuple(sorted(wanted))


def named_tenants(given: Collection[str] | None) -> tuple[str, ...] | None:
    """Return tenants in order; None for all of them.

    Raises:
        InvalidInputError: There is none, or one has no name that can be.
    """
    if given is None:
        return None
    wanted = {given} if isinstance(given, str) else set(given)
    if not wanted:
        raise InvalidInputError("tenants: name at least one; None means all of them.")
    return tuple(sorted(named("tenants", tenant) for tenant in wanted))
