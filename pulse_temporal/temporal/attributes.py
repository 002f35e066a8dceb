"""Pulse's search attributes: make their values, and check or register them in a namespace."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from pulse_temporal import contract
from pulse_temporal.errors import ConfigurationError

log: logging.Logger = logging.getLogger(__name__)

SEARCH_ATTRIBUTES = {
    name: SearchAttributeKey.for_keyword(name)
    for name in (
        contract.TENANT_ATTRIBUTE,
        contract.DEFINITION_ATTRIBUTE,
        contract.TRIGGER_ATTRIBUTE,
    )
}
ATTRIBUTE_BYTES = 2_048  # Temporal's limit on one value, quotes included

MAY_NOT_ASK = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED)
CANNOT_CREATE = (
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.PERMISSION_DENIED,
    RPCStatusCode.FAILED_PRECONDITION,
    RPCStatusCode.RESOURCE_EXHAUSTED,
)
KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
TAKES_KEYWORDS = frozenset({KEYWORD, IndexedValueType.INDEXED_VALUE_TYPE_TEXT})
"""Types of attribute for which Temporal accepts our values; with others it refuses every start."""

HANDBOOK = "docs/operate/temporal.md"


@dataclass(frozen=True, slots=True)
class AttributeFlaws:
    """What is wrong with our search attributes in a namespace.

    Attributes:
        missing: Names that are not registered.
        wrong: ``Name (Type)`` of those for which Temporal refuses our values.
        odd: ``Name (Type)`` of those that have another type than ours but accept our values.
    """

    missing: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()


def search_attributes(values: Mapping[str, str]) -> TypedSearchAttributes:
    """Return values of Pulse's search attributes, as a start takes them.

    Temporal refuses a value of more than 2 KiB, counted as ASCII JSON, where an emoji has 12
    bytes: a tenant id of 200 emoji would stop every run. Its SHA-256 then stands for it.
    """
    return TypedSearchAttributes(
        [SearchAttributePair(SEARCH_ATTRIBUTES[name], _short(v)) for name, v in values.items()]
    )


def _short(value: str) -> str:
    is_short = len(json.dumps(value)) <= ATTRIBUTE_BYTES
    return value if is_short else sha256(value.encode()).hexdigest()


async def ensure_search_attributes(client: Client, *, timeout: timedelta) -> None:
    """Register the search attributes that are missing; only warn where we may not ask.

    Registering does not tell of a wrong type: Temporal accepts a name that it already has
    without a word, so the types are read first.

    Raises:
        ConfigurationError: One has another type, or is missing and cannot be created; no run
            could start.
        RPCError: Temporal does not answer.
    """
    try:
        flaws = await attribute_flaws(client, timeout=timeout)
    except RPCError as error:
        if error.status not in MAY_NOT_ASK:
            raise
        facts = {"needed": ", ".join(SEARCH_ATTRIBUTES), "error": error.message}
        log.warning(
            "Temporal does not say which search attributes there are (%(error)s). Without"
            " %(needed)s no run can start.",
            facts,
            extra=facts,
        )
        return
    if flaws.wrong:
        raise ConfigurationError(
            f"Search attributes of namespace {client.namespace!r} have another type than Keyword:"
            f" {', '.join(flaws.wrong)}. Temporal refuses every start. Remove or rename them;"
            f" see {HANDBOOK}."
        )
    if flaws.missing:
        await _create(client, flaws.missing, timeout=timeout)


async def _create(client: Client, missing: tuple[str, ...], *, timeout: timedelta) -> None:
    """Register attributes as Keyword; raise ConfigurationError when Temporal refuses that."""
    request = AddSearchAttributesRequest(
        namespace=client.namespace, search_attributes=dict.fromkeys(missing, KEYWORD)
    )
    try:
        await client.operator_service.add_search_attributes(request, timeout=timeout)
    except RPCError as error:
        # Another process may have created them since we looked; then nothing is missing.
        if error.status not in CANNOT_CREATE:
            raise
        if not (await attribute_flaws(client, timeout=timeout)).missing:
            return
        raise ConfigurationError(
            f"Search attributes are missing in namespace {client.namespace!r} and cannot be"
            f" created: {', '.join(missing)}: {error.message} Create them as Keyword by hand, or"
            f" make room; see {HANDBOOK}."
        ) from error


async def attribute_flaws(client: Client, *, timeout: timedelta) -> AttributeFlaws:
    """Return which of our search attributes are missing or have another type than Keyword.

    Raises:
        RPCError: Temporal does not answer, or we may not ask.
    """
    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        known = await client.operator_service.list_search_attributes(request, timeout=timeout)
    except RPCError as error:
        # Temporal's test server cannot list them, but it can create them.
        if error.status == RPCStatusCode.UNIMPLEMENTED:
            return AttributeFlaws(missing=tuple(SEARCH_ATTRIBUTES))
        raise
    types = {
        name: known.custom_attributes[name]
        for name in SEARCH_ATTRIBUTES
        if name in known.custom_attributes
    }
    others = {name: type_ for name, type_ in types.items() if type_ != KEYWORD}
    return AttributeFlaws(
        missing=tuple(name for name in SEARCH_ATTRIBUTES if name not in types),
        wrong=tuple(_typed(n, t) for n, t in others.items() if t not in TAKES_KEYWORDS),
        odd=tuple(_typed(n, t) for n, t in others.items() if t in TAKES_KEYWORDS),
    )


def _typed(name: str, type_: IndexedValueType.ValueType) -> str:
    title = IndexedValueType.Name(type_).removeprefix("INDEXED_VALUE_TYPE_")
    return f"{name} ({title.title().replace('_', '')})"
