"""The OpenAPI document: what the routes declare, and what FastAPI cannot know of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from inspect import cleandoc

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, JsonValue
from pydantic.json_schema import models_json_schema

from pulse_temporal.model.values import JsonObject
from pulse_temporal.web.api.asking import OBJECT, NoQuery
from pulse_temporal.web.api.operations import Operation
from pulse_temporal.web.api.problems import MEDIA_TYPE, ProblemDetails

VERSION = "1.0"
COMPONENTS = "#/components/schemas/"
ANSWERS = "#/components/responses/"
INPUT = COMPONENTS + "{model}Input"

DESCRIPTION = """Emit signals, read runs and change definitions, with an API key.

JSON is written in camelCase and read in camelCase or snake_case. Unknown fields are refused. A key
of several tenants names one with the header `Pulse-Tenant`. docs/reference/rest.md has the
conventions and all errors."""

PROBLEM: JsonObject = {
    "content": {MEDIA_TYPE: {"schema": {"$ref": COMPONENTS + "ProblemDetails"}}}
}

REFUSALS = {
    "400": "The body is not JSON, or no tenant is named.",
    "401": "No key, or one that is wrong, expired or revoked.",
    "403": "The key lacks a scope.",
    "404": "There is nothing, or it is not for this key to see.",
    "409": "It is not in a state that allows this, or somebody else was faster.",
    "412": "If-Match names another version.",
    "413": "The body is too large.",
    "415": "The body is not said to be JSON.",
    "422": "Something that was sent is wrong.",
    "429": "Too many streams are open.",
    "500": "The server's log says why.",
    "503": "A server that Pulse stands on does not answer.",
}
OF_BODIES = frozenset({"413", "415"})
OF_CHANGES = frozenset({"409", "412"})
OF_STREAMS = frozenset({"429"})

ALSO = {
    200: "It was there before.",
    201: "It was created.",
    304: "It is as the client has it.",
    503: "A check has failed.",
}


def register(app: FastAPI, operation: Operation) -> None:
    """Add an operation to an application."""
    text = cleandoc(operation.endpoint.__doc__ or "")
    summary, _, rest = text.partition("\n\n")
    app.add_api_route(
        operation.path,
        operation.endpoint,
        methods=[operation.method],
        response_model=None if operation.is_stream else operation.gives,
        status_code=operation.status,
        operation_id=operation.id,
        summary=summary.replace("\n", " ").rstrip("."),
        description=rest,
        tags=[operation.id.partition(".")[0]],
        responses={"default": {"description": "Refused."}},
    )


def document_of(app: FastAPI, operations: Sequence[Operation]) -> dict[str, object]:
    """Return the OpenAPI document of an application."""
    made = get_openapi(
        title="Pulse Temporal", version=VERSION, description=DESCRIPTION, routes=app.routes
    )
    document = OBJECT.validate_python(made)
    paths, schemas = _object(document, "paths"), _object(document, "components", "schemas")
    inputs = [each.body for each in operations if each.body is not None]
    given, found = _schemas(inputs)
    schemas |= found | {"ProblemDetails": ProblemDetails.model_json_schema(mode="serialization")}
    _hoist(schemas)
    for operation in operations:
        path = operation.path.replace(":path", "")
        entry = _object(paths, path, operation.method.lower())
        _complete(entry, operation)
        if operation.body is not None:
            entry["requestBody"] = _body(operation, given[operation.body])
    for name, model in _models():
        if name in schemas:
            _describe(_object(schemas, name), model)
    for schema in _walk(schemas):
        _require_kind(schema)
    document["servers"] = [{"url": "api/v1"}]  # seen from the document, wherever it is mounted
    document["security"] = [{"apiKey": []}]
    _object(document, "components")["securitySchemes"] = {
        "apiKey": {"type": "http", "scheme": "bearer", "description": "`pulse_sk_…`"}
    }
    _object(document, "components")["responses"] = {
        _word(status): {"description": meaning, **PROBLEM} for status, meaning in REFUSALS.items()
    }
    _object(document, "components")["schemas"] = dict(sorted(schemas.items()))
    return {**document}


def _complete(entry: JsonObject, operation: Operation) -> None:
    """Say which parameters an operation takes, which scope, and how it refuses."""
    entry["x-scope"] = operation.scope
    parameters = entry.get("parameters")
    listed = parameters if isinstance(parameters, list) else []
    shown: list[JsonValue] = [*listed, *_headers(operation), *_parameters(operation)]
    entry["parameters"] = shown
    answers = _object(entry, "responses")
    answers.pop("default", None)
    answers.pop("422", None)
    success = _object(answers, str(operation.status))
    for status in operation.also:
        content = {} if status == 304 else success  # noqa: PLR2004 - not modified, so empty
        answers[str(status)] = {**content, "description": ALSO[status]}
    if operation.is_stream:
        answers[str(operation.status)] = {
            "description": "Events.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    for status in REFUSALS:
        if status not in answers and _may_refuse(operation, status):
            answers[status] = {"$ref": f"{ANSWERS}{_word(status)}"}


def _may_refuse(operation: Operation, status: str) -> bool:
    if status in OF_BODIES:
        return operation.body is not None
    if status in OF_CHANGES:
        return operation.method != "GET"
    return operation.is_stream or status not in OF_STREAMS


def _word(status: str) -> str:
    """Return what the answer of a status is called in the document."""
    return f"Refused{status}"


def _headers(operation: Operation) -> Iterator[JsonObject]:
    wanted = ["Pulse-Tenant", "X-Request-Id"]
    if operation.id in {"signals.emit", "signals.replay"}:
        wanted.append("Idempotency-Key")
    if operation.id in {"definitions.update", "definitions.restore_version"}:
        wanted.append("If-Match")
    if operation.id in {f"definitions.{name}" for name in ("create", "put", "update", "delete")}:
        wanted.append("Pulse-Note")
    if 304 in operation.also:  # noqa: PLR2004 - not modified
        wanted.append("If-None-Match")
    if operation.is_stream:
        wanted.append("Last-Event-ID")
    for name in wanted:
        yield {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}


def _parameters(operation: Operation) -> Iterator[JsonObject]:
    if operation.query is NoQuery:
        return
    schema = OBJECT.validate_python(operation.query.model_json_schema())
    meanings = dict(_attributes(operation.query))
    for name, info in operation.query.model_fields.items():
        alias = info.alias or name
        shown = _without_null(_object(schema, "properties", alias))
        meaning = meanings.get(name)
        parameter: JsonObject = {"name": alias, "in": "query", "required": False, "schema": shown}
        yield {**parameter, "description": meaning} if meaning else parameter


def _without_null(schema: JsonObject) -> JsonObject:
    """Return the schema of a parameter, which is left out where a field would be null."""
    choices = schema.get("anyOf")
    kept = {name: value for name, value in schema.items() if name not in {"anyOf", "title"}}
    if kept.get("default", 0) is None:
        del kept["default"]
    if not isinstance(choices, list):
        return kept
    some = [each for each in choices if each != {"type": "null"}]
    return {**kept, **some[0]} if len(some) == 1 and isinstance(some[0], dict) else schema


def _body(operation: Operation, schema: JsonObject) -> JsonObject:
    content: JsonObject = {"schema": schema}
    if operation.example is not None:
        content["example"] = OBJECT.validate_python(operation.example)
    required = operation.body is not None and any(
        field.is_required() for field in operation.body.model_fields.values()
    )
    return {"required": required, "content": {"application/json": content}}


def _schemas(models: Sequence[type[BaseModel]]) -> tuple[dict[type, JsonObject], JsonObject]:
    """Return a reference for each model that is sent to us, and what the references mean."""
    pairs = [(model, "validation") for model in dict.fromkeys(models)]
    references, definitions = models_json_schema(pairs, ref_template=INPUT)  # pyright: ignore[reportArgumentType]
    found = OBJECT.validate_python(definitions.get("$defs", {}))
    named: JsonObject = {f"{name}Input": schema for name, schema in found.items()}
    return {
        model: OBJECT.validate_python(schema) for (model, _), schema in references.items()
    }, named


def _hoist(schemas: JsonObject) -> None:
    """Give schemas that stand inside another one a name of their own."""
    for schema in [*schemas.values()]:
        if isinstance(schema, dict) and isinstance(inner := schema.pop("$defs", None), dict):
            for name, value in inner.items():
                schemas.setdefault(name, value)
    for schema in _walk(schemas):
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/$defs/"):
            schema["$ref"] = COMPONENTS + reference.removeprefix("#/$defs/")


def _require_kind(schema: JsonObject) -> None:
    """Say that what tells kinds of steps apart must be there."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return
    kind = properties.get("type")
    if isinstance(kind, dict) and "const" in kind:
        required = schema.get("required")
        names = required if isinstance(required, list) else []
        if "type" not in names:
            schema["required"] = [*names, "type"]


def _describe(schema: JsonObject, model: type[BaseModel]) -> None:
    """Describe the fields of a schema as the docstring of its model does."""
    schema["description"] = cleandoc(model.__doc__ or "").partition("\n\n")[0]
    properties = _object(schema, "properties")
    for name, meaning in _attributes(model):
        field = model.model_fields.get(name)
        alias = (field.alias or name) if field is not None else name
        if isinstance(found := properties.get(alias), dict):
            found.setdefault("description", meaning)


def _attributes(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield the fields that the docstrings of a model and its bases describe."""
    for kind in reversed(model.__mro__):
        _, _, section = cleandoc(kind.__doc__ or "").partition("Attributes:\n")
        for entry in re.split(r"\n {4}(?=\w)", "\n" + section.partition("\n\n")[0]):
            name, _, meaning = entry.partition(":")
            if meaning:
                yield name.strip(), " ".join(meaning.split()).replace("``", "`")


def _models() -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield every model that there is, by the names that it may have in the document."""
    seen = list[type[BaseModel]]([BaseModel])
    for model in seen:
        for below in model.__subclasses__():
            if below not in seen:
                seen.append(below)
    for model in seen[1:]:
        if model.__module__.startswith("pulse_temporal."):
            yield model.__name__, model
            yield f"{model.__name__}Input", model


def _walk(value: JsonValue) -> Iterator[JsonObject]:
    """Yield every object in a value."""
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from _walk(each)


def _object(value: JsonObject, *names: str) -> JsonObject:
    """Return an object inside of an object; it is made where it is absent."""
    for name in names:
        found = value.setdefault(name, {})
        if not isinstance(found, dict):
            raise TypeError(f"{name} is no object")
        value = found
    return value
