"""Pulse's search attributes: their values, and whether a namespace has them."""

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

log = logging.getLogger(__name__)

SEARCH_ATTRIBUTES = {
    name: SearchAttributeKey.for_keyword(name)
    for name in (
        contract.TENANT_ATTRIBUTE,
        contract.DEFINITION_ATTRIBUTE,
        contract.TRIGGER_ATTRIBUTE,
    )
}
ATTRIBUTE_BYTES = 2_048

MAY_NOT_ASK = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED)
CANNOT_CREATE = (
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.PERMISSION_DENIED,
    RPCStatusCode.FAILED_PRECONDITION,
    RPCStatusCode.RESOURCE_EXHAUSTED,
)
KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
TAKES_KEYWORDS = frozenset({KEYWORD, IndexedValueType.INDEXED_VALUE_TYPE_TEXT})
"""Types under which Temporal takes our values; it refuses every start with another one."""

HANDBOOK = "docs/operate/temporal.md"


@dataclass(frozen=True, slots=True)
class AttributeFlaws:
    """What is wrong with our search attributes in a namespace.

    Attributes:
        missing: Names that are not registered.
        wrong: Names and types under which Temporal refuses our values.
        odd: Names and types that are not ours, and do.
    """

    missing: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()


def search_attributes(values: Mapping[str, str]) -> TypedSearchAttributes:
    """Return this library's search attributes by name.

    Temporal refuses a value of more than 2 KiB as ASCII JSON, which a tenant id of 200 emoji
    has; its SHA-256 stands for it then.
    """
    return TypedSearchAttributes(
        [SearchAttributePair(SEARCH_ATTRIBUTES[name], _short(v)) for name, v in values.items()]
    )


def _short(value: str) -> str:
    is_short = len(json.dumps(value)) <= ATTRIBUTE_BYTES
    return value if is_short else sha256(value.encode()).hexdigest()


async def ensure_search_attributes(client: Client, *, patience: timedelta) -> None:
    """Register the search attributes that are missing; only warn where nothing can be known.

    Raises:
        ConfigurationError: One has another type, or is missing and cannot be created. No run
            could start.
        RPCError: Temporal does not answer.
    """
    try:
        flaws = await attribute_flaws(client, patience=patience)
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
        await _create(client, flaws.missing, patience=patience)


async def _create(client: Client, missing: tuple[str, ...], *, patience: timedelta) -> None:
    request = AddSearchAttributesRequest(
        namespace=client.namespace, search_attributes=dict.fromkeys(missing, KEYWORD)
    )
    try:
        await client.operator_service.add_search_attributes(request, timeout=patience)
    except RPCError as error:
        # Another process may have created them in the meantime; then nothing is missing.
        if error.status not in CANNOT_CREATE:
            raise
        if not (await attribute_flaws(client, patience=patience)).missing:
            return
        raise ConfigurationError(
            f"Search attributes are missing in namespace {client.namespace!r} and cannot be"
            f" created: {', '.join(missing)}: {error.message} Create them as Keyword by hand, or"
            f" make room; see {HANDBOOK}."
        ) from error


async def attribute_flaws(client: Client, *, patience: timedelta) -> AttributeFlaws:
    """Return which of our search attributes are not as they should be.

    Raises:
        RPCError: No answer, or it may not be asked.
    """
    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        known = await client.operator_service.list_search_attributes(request, timeout=patience)
    except RPCError as error:
        if error.status == RPCStatusCode.UNIMPLEMENTED:  # Temporal's test server
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
