"""What handlers and signal types there are, as people and editors are told of them."""

from __future__ import annotations

from typing import Literal, TypedDict

from pydantic import BaseModel

from pulse_temporal.model.canonical import canonical_object
from pulse_temporal.model.values import Flag, JsonObject, Name, Prose, Value

CatalogKind = Literal["signal", "action", "condition"]
Audience = Literal["tenants", "operators"]

SCHEMA_BYTES = 64 * 1024
"""Bound of a schema in the catalogue, as JSON; a larger one is left out."""


class HandlerAbout(Value):
    """What a handler is registered with for people.

    Attributes:
        title: What people call it, for example ``Send an alert``.
        description: What it does.
        group: What it is listed with, for example ``Messages``.
        audience: ``operators``: it is not offered to tenants.
        result_schema: A model of what an action returns.
    """

    title: Name | None = None
    description: Prose | None = None
    group: Name | None = None
    audience: Audience = "tenants"
    result_schema: type[BaseModel] | None = None


class HandlerAboutFields(TypedDict, total=False):
    """The fields of ``HandlerAbout``, as registration takes them by name."""

    title: str | None
    description: str | None
    group: str | None
    audience: Audience
    result_schema: type[BaseModel] | None


NOTHING_SAID = HandlerAbout()


class CatalogEntry(Value):
    """A handler, or a type of signal.

    Attributes:
        kind: ``action``, ``condition`` or ``signal``.
        name: As steps call the handler, or as signals of the type have it.
        title: What people call it.
        description: What it does, or when it is sent.
        group: What it is listed with.
        audience: ``operators``: it is not offered to tenants.
        replay_safe: The action also runs in replays.
        source: The only source of such signals; None where nothing is known of it.
        resource_type: The only resource type of such signals; None: any.
        config_schema: JSON Schema of the config of its steps.
        result_schema: JSON Schema of what the action returns.
        payload_schema: JSON Schema of the payload of such signals.
        workers: Live processes that know it; 0: only the process that was asked does.
    """

    kind: CatalogKind
    name: str
    title: str | None = None
    description: str | None = None
    group: str | None = None
    audience: Audience = "tenants"
    replay_safe: Flag = False
    source: str | None = None
    resource_type: str | None = None
    config_schema: JsonObject | None = None
    result_schema: JsonObject | None = None
    payload_schema: JsonObject | None = None
    workers: int = 0


def schema_of(model: type[BaseModel] | None) -> JsonObject | None:
    """Return the JSON Schema of a model; None where it has none that fits.

    Fields are in the order of the model: forms are made of them.
    """
    if model is None:
        return None
    try:
        schema = model.model_json_schema()
        canonical_object(schema, where="schema", max_bytes=SCHEMA_BYTES)
    except Exception:  # noqa: BLE001 - foreign code may raise anything
        return None
    return schema
