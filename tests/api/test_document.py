"""The OpenAPI document is committed, and only grows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pulse_temporal import create_engine
from pulse_temporal.web import WebOptions, asgi
from pulse_temporal.web.api.service import OPERATIONS, openapi
from tests.docs.test_facts import load_builder
from tests.web.asking import ask

Document = dict[str, Any]

COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"


def committed() -> Document:
    return json.loads(COMMITTED.read_text(encoding="utf-8"))


def test_the_committed_document_is_that_of_the_code() -> None:
    assert committed() == json.loads(json.dumps(openapi())), "make docs"


async def test_the_document_is_served_to_everybody() -> None:
    app = asgi(create_engine("postgresql://127.0.0.1:1/none"), options=WebOptions(hosts="*"))
    answer = await ask(app, "/openapi.json", client="10.0.0.9")
    assert json.loads(answer.text) == committed()


def test_every_operation_is_in_the_document_once() -> None:
    ids = [operation.id for operation in OPERATIONS]
    assert len(set(ids)) == len(ids)
    assert set(ids) == {entry["operationId"] for entry in entries(committed())}


def test_every_reference_leads_somewhere() -> None:
    document = committed()
    for reference in references(document):
        found: Document = document
        for name in reference.removeprefix("#/").split("/"):
            assert name in found, reference
            found = found[name]


def test_every_body_has_an_example() -> None:
    for entry in entries(committed()):
        if "requestBody" in entry:
            assert entry["requestBody"]["content"]["application/json"]["example"]


def test_make_docs_refuses_to_take_something_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = load_builder(monkeypatch)
    path = tmp_path / "openapi.json"
    old = committed()
    schemas, paths = old["components"]["schemas"], old["paths"]
    path.write_text(json.dumps(old), encoding="utf-8")
    builder.write_openapi(path)

    paths["/gone"] = {"get": {}}
    paths["/whoami"]["put"] = {}
    paths["/runs"]["get"]["parameters"].append({"in": "query", "name": "gone"})
    schemas["RunSummary"]["properties"]["gone"] = {}
    schemas["SignalInput"]["required"].remove("source")
    schemas["Gone"] = {}
    path.write_text(json.dumps(old), encoding="utf-8")
    with pytest.raises(SystemExit) as refusal:
        builder.write_openapi(path)

    assert len(str(refusal.value).splitlines()) == 1 + 6


def entries(document: Document) -> Iterator[Document]:
    paths: dict[str, dict[str, Document]] = document["paths"]
    for path in paths.values():
        yield from path.values()


def references(document: Document) -> set[str]:
    return set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(document)))
