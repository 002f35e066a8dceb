"""Write the pages of docs/reference that come from the code: ``make docs``.

``tables.md`` is written by hand; a test compares it with the migrated schema.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from cyclopts import App
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import pulse_temporal
from docstrings import (
    Docstring,
    cell,
    length_of_time,
    markdown_of,
    read_docstring,
    readable,
    signature_of,
)
from narrowing import narrowings
from pulse_temporal import EngineOptions, Limits, errors
from pulse_temporal.cli.app import make_app
from pulse_temporal.cli.exits import EXIT_MEANINGS, Exit
from pulse_temporal.cli.options import GlobalOptions
from pulse_temporal.cli.tree import COMMANDS
from pulse_temporal.embedded import EmbeddedServices, embedded_services
from pulse_temporal.engine.blocking import BlockingEngine
from pulse_temporal.engine.bulk import BulkMethods
from pulse_temporal.engine.cataloguing import Cataloguing
from pulse_temporal.engine.definitions import DefinitionMethods
from pulse_temporal.engine.flat import FlatMethods
from pulse_temporal.engine.guarding import Guarding, Recognising
from pulse_temporal.engine.lifecycle import Lifecycle, Upkeep
from pulse_temporal.engine.operations import Methods
from pulse_temporal.engine.operators import Operators
from pulse_temporal.engine.registration import Registration
from pulse_temporal.engine.runs import RunMethods
from pulse_temporal.engine.searching import Searching
from pulse_temporal.engine.signals import SignalMethods
from pulse_temporal.engine.tenant import TenantEngine
from pulse_temporal.engine.visiting import Visiting
from pulse_temporal.handlers.context import WorkflowContext
from pulse_temporal.web.api.service import openapi
from rest_page import rest_page

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Made by `make docs` from the docstrings; change those. -->"

ENGINE_PARTS: Mapping[str, type] = {
    "Life": Lifecycle,
    "Upkeep": Upkeep,
    "Register": Registration,
    "Catalogue": Cataloguing,
    "Search": Searching,
    "Many runs": BulkMethods,
    "Keys and audit": Guarding,
    "Recognise a key": Recognising,
    "Sign in": Visiting,
    "Operate": Operators,
}
NAMESPACES: Mapping[str, type] = {
    "signals": SignalMethods,
    "definitions": DefinitionMethods,
    "runs": RunMethods,
}
TARGET = re.compile(rf"`({'|'.join(NAMESPACES)})\.(\w+)(\([^`]*\))?`")
MODEL_PARTS: Mapping[str, Sequence[str]] = {
    "Signals": (
        "TriggerInput",
        "TriggerEnvelope",
        "TriggerRegistration",
        "Explanation",
        "Verdict",
    ),
    "Definitions": (
        "WorkflowInput",
        "WorkflowUpdate",
        "WorkflowDefinition",
        "DefinitionVersion",
        "DefinitionActivity",
        "RunMark",
        "Actor",
        "DefinitionSnapshot",
    ),
    "Sets of definitions": (
        "DefinitionsPlan",
        "PlannedChange",
        "DefinitionDifference",
        "FieldDifference",
        "StepDifference",
    ),
    "Steps": ("ActionStep", "ConditionStep", "DelayStep", "ParallelStep", "RetryPolicy"),
    "Runs": ("WorkflowRun", "WorkflowStepRun", "StepAttempt", "RunTimelineEntry", "ExecutionLog"),
    "Lists": ("RunFilter", "Page"),
    "Lists and pages of runs": (
        *("RunSummaryFilter", "RunSummary", "CurrentStep", "RunCounts", "BoundedCount"),
        *("RunView", "Notice", "TemporalPlace", "StepSummary", "Segment", "StepView"),
        "FailureGroup",
    ),
    "Lists of signals, and search": (
        *("SignalFilter", "SignalSummary", "SignalChain", "ChainSignal", "ChainRun"),
        "SearchResult",
    ),
    "Handlers and hooks": (
        *("CatalogEntry", "ActionResult", "StepCompleteEvent", "RunCompleteEvent"),
    ),
    "Many runs": ("BulkFilter", "BulkOperation", "BulkItem", "BulkPreview"),
    "Keys and audit": ("ApiKey", "NewApiKey", "AuditEntry"),
    "Sessions": ("WebSession", "NewWebSession", "LoginLink", "NewLoginLink"),
    "Operation": (
        *("HealthReport", "HealthCheck", "ReconcileReport", "Repair"),
        *("WorkerView", "TenantView"),
    ),
}
SHARED_OPTIONS = {f"--{each.name.replace('_', '-')}" for each in dataclasses.fields(GlobalOptions)}
KNOWN_TYPES = {id(pulse_temporal.WorkflowStep): "WorkflowStep"}


def pages() -> dict[str, str]:
    """Return every page that is made, by file name."""
    made = {
        "engine.md": "\n".join(engine_page()),
        "models.md": "\n".join(models_page()),
        "context.md": "\n".join(context_page()),
        "options.md": "\n".join(options_page()),
        "errors.md": "\n".join(errors_page()),
        "embedded.md": "\n".join(embedded_page()),
        "cli.md": "\n".join(cli_page()),
        "rest.md": "\n".join((f"{NOTE}\n", *rest_page())),
    }
    made["README.md"] = "\n".join(index_page())
    return {name: text.rstrip() + "\n" for name, text in made.items()}


def index_page() -> Iterator[str]:
    """Yield the index."""
    yield f"{NOTE}\n\n# Reference\n"
    yield "| Page | |\n|---|---|"
    yield "| [Engine](engine.md) | `create_engine` and all methods |"
    yield "| [Models](models.md) | what is sent and returned |"
    yield "| [Context](context.md) | what handlers are given |"
    yield "| [Options](options.md) | every option and limit, with its default |"
    yield "| [Errors](errors.md) | every error, with its stable code |"
    yield "| [Embedded servers](embedded.md) | Postgres and Temporal inside a block |"
    yield "| [Command line](cli.md) | every command of `pulse`, its options and exit codes |"
    yield "| [REST API](rest.md) | every route, its scope, and all errors |"
    yield "| [Tables](tables.md) | every table and column |"


def engine_page() -> Iterator[str]:
    """Yield the page of the engine and its makers."""
    yield f"{NOTE}\n\n# Engine\n"
    yield "Everything is imported from `pulse_temporal`.\n"
    for maker in (
        pulse_temporal.create_engine,
        pulse_temporal.engine_from_environment,
        pulse_temporal.run_worker,
        pulse_temporal.acting,
    ):
        yield from function(maker, level=2)
    for title, part in ENGINE_PARTS.items():
        yield f"## {title}\n"
        if part is not Lifecycle:
            yield f"{read_docstring(part).text}\n"
        for member in methods_of(part):
            yield from function(member, level=3)
    yield from flat_names()
    for name, part in NAMESPACES.items():
        yield f"## engine.{name}\n\n{read_docstring(part).text}\n"
        for group in (part, *(each for each in part.__bases__ if each is not Methods)):
            for member in methods_of(group):
                yield from function(member, level=3, prefix=f"{name}.")
    yield f"## One tenant\n\n{read_docstring(TenantEngine).text}\n"
    yield from function(pulse_temporal.Engine.for_tenant, level=3)
    yield f"## Without async\n\n`engine.blocking`: {read_docstring(BlockingEngine).text}\n"


def flat_names() -> Iterator[str]:
    """Yield the table of the names that stand for a method of a namespace."""
    yield f"## Flat names\n\n{read_docstring(FlatMethods).text}\n\n| | |\n|---|---|"
    for member in methods_of(FlatMethods):
        meaning = TARGET.sub(r"[`\1.\2\3`](#\1\2)", read_docstring(member).summary)
        yield f"| `{member.__name__}` | {cell(meaning)} |"
    yield ""


def methods_of(part: type) -> Iterator[Callable[..., object]]:
    """Return the public methods of a class, its own first, in their order."""
    for name in dict.fromkeys(name for kind in part.__mro__ for name in vars(kind)):
        member: object = getattr(part, name)
        if inspect.isfunction(member) and not name.startswith("_"):
            yield member


def models_page() -> Iterator[str]:
    """Yield the page of the models."""
    yield f"{NOTE}\n\n# Models\n"
    yield "Frozen pydantic models. JSON, mappings that you send and stored definitions"
    yield "may spell fields in camelCase (`triggerType`) or in snake_case; they are written in"
    yield "camelCase. Unknown fields are errors. Times are aware, in UTC.\n"
    for title, names in MODEL_PARTS.items():
        yield f"## {title}\n"
        for name in names:
            model: object = getattr(pulse_temporal, name)
            if inspect.isclass(model) and issubclass(model, BaseModel):
                yield from fields(model, level=3)


def context_page() -> Iterator[str]:
    """Yield the page of the handler context."""
    docstring = read_docstring(WorkflowContext)
    yield f"{NOTE}\n\n# Context\n\n{docstring.text}\n"
    yield "## Attributes\n\n| | |\n|---|---|"
    for name, meaning in docstring.sections["Attributes"].items():
        yield f"| `{name}` | {cell(meaning)} |"
    for name, member in vars(WorkflowContext).items():
        if isinstance(member, property) and not name.startswith("_"):
            yield f"| `{name}` | {cell(read_docstring(member).text)} |"
    yield ""
    for method in (WorkflowContext.emit, WorkflowContext.log):
        yield from function(method, level=2)


def options_page() -> Iterator[str]:
    """Yield the page of the options and limits."""
    yield f"{NOTE}\n\n# Options\n"
    yield "Arguments of `create_engine`, or variables for `engine_from_environment`, where lengths"
    yield "of time are written `30`, `30s`, `250ms`, `5m`, `2h`, `1d` or as ISO 8601, `PT30S`.\n"
    yield from option_table(EngineOptions, prefix="PULSE_")
    yield f"\n## Limits\n\n{read_docstring(Limits).summary} `limits=Limits(steps=50)`.\n"
    yield from option_table(Limits, prefix="PULSE_LIMITS__")


def option_table(model: type[BaseModel], *, prefix: str) -> Iterator[str]:
    """Yield a table of options with their defaults and variables."""
    meanings = attributes_of(model)
    yield "| Option | Default | Variable | |\n|---|---|---|---|"
    for name, info in model.model_fields.items():
        if name == "limits":
            continue
        default = shown_default(info.get_default(call_default_factory=True))
        yield f"| `{name}` | {default} | `{prefix}{name.upper()}` | {cell(meanings[name])} |"


def errors_page() -> Iterator[str]:
    """Yield the page of the errors."""
    yield f"{NOTE}\n\n# Errors\n\nAll that Pulse raises on purpose is in one tree:\n"
    yield "\n".join(("```", "PulseError", *error_branches(errors.PulseError), "```\n"))
    _, _, meaning = read_docstring(errors).text.partition("\n\n")
    yield f"{meaning}\n"
    yield "| Code | Class | Retryable | |\n|---|---|---|---|"
    for found in vars(errors).values():
        if inspect.isclass(found) and issubclass(found, errors.PulseError):
            retryable = "yes" if found.retryable else ""
            summary = cell(read_docstring(found).summary)
            yield f"| `{found.code}` | `{found.__name__}` | {retryable} | {summary} |"


def error_branches(root: type[errors.PulseError], indent: str = "") -> Iterator[str]:
    """Yield the lines of the tree of errors below a class."""
    below = [kind for kind in root.__subclasses__() if kind.__module__ == errors.__name__]
    for kind in below:
        is_last = kind is below[-1]
        yield f"{indent}{'└── ' if is_last else '├── '}{kind.__name__}"
        yield from error_branches(kind, indent + ("    " if is_last else "│   "))


def embedded_page() -> Iterator[str]:
    """Yield the page of the embedded servers."""
    module = sys.modules[embedded_services.__module__.rpartition(".")[0]]
    yield f"{NOTE}\n\n# Embedded servers\n\n{read_docstring(module).text}\n"
    yield from function(embedded_services, level=2)
    yield "Use it with `async with`; the block is given an `EmbeddedServices`.\n"
    yield f"## EmbeddedServices\n\n{read_docstring(EmbeddedServices).text}\n\n| | |\n|---|---|"
    for name, member in vars(EmbeddedServices).items():
        if isinstance(member, property):
            yield f"| `{name}` | {cell(read_docstring(member).text)} |"


def cli_page() -> Iterator[str]:
    """Return the page of the command line."""
    yield f"{NOTE}\n\n# Command line\n"
    yield "[Use the command line](../how-to/command-line.md) says how.\n"
    everywhere = make_app()["runs"]["list"]
    yield "Options of every command that has a `--tenant`:\n"
    yield from option_list(everywhere, shared=True)
    for command in COMMANDS:
        found = make_app()
        for name in command.name.split():
            found = found[name]
        yield f"## pulse {command.name}\n\n{markdown_of(str(found.help))}\n"
        yield from option_list(found)
    yield "## Exit codes\n\n| | |\n|---|---|"
    for code in Exit:
        yield f"| {code.value} | {EXIT_MEANINGS[code]} |"


def option_list(command: App, *, shared: bool = False) -> Iterator[str]:
    """Return the arguments of a command: those that others have too, or its own."""
    lines: list[str] = []
    for argument in command.assemble_argument_collection(parse_docstring=True):
        names = [name for name in argument.names if name != "*"]
        if names and (names[0] in SHARED_OPTIONS) == shared:
            meaning = " ".join(str(argument.parameter.help or "").split())
            lines.append(f"- `{' '.join(names)}`: {meaning}")
    if lines:
        yield "\n".join([*lines, ""])


def function(subject: Callable[..., object], *, level: int, prefix: str = "") -> Iterator[str]:
    """Yield the section of a function."""
    plain = inspect.unwrap(subject)
    docstring = read_docstring(plain)
    yield f"{'#' * level} {prefix}{plain.__name__}\n\n```py\n{signature_of(plain)}\n```\n"
    yield f"{docstring.text}\n"
    yield from details(docstring)


def details(docstring: Docstring) -> Iterator[str]:
    """Yield arguments, answer and errors of a function."""
    for name, meaning in docstring.sections.get("Args", {}).items():
        yield f"- `{name}`: {meaning}"
    if docstring.returns:
        yield f"- returns: {docstring.returns}"
    for name, meaning in docstring.sections.get("Raises", {}).items():
        yield f"- raises `{name}`: {meaning}"
    yield ""


def fields(model: type[BaseModel], *, level: int) -> Iterator[str]:
    """Yield the section of a model."""
    meanings = attributes_of(model)
    yield f"{'#' * level} {model.__name__}\n\n{read_docstring(model).text}\n"
    yield "| Field | Type | Default | |\n|---|---|---|---|"
    for name, info in model.model_fields.items():
        required = info.is_required()
        default = "" if required else shown_default(info.get_default(call_default_factory=True))
        kind = cell(readable(info.annotation, known=KNOWN_TYPES))
        yield f"| `{name}` | `{kind}` | {default} | {cell(meanings.get(name, ''))} |"
    yield ""


def attributes_of(model: type[BaseModel]) -> dict[str, str]:
    """Return what the docstrings of a model and its parents say about its fields."""
    found: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        found |= read_docstring(parent).sections.get("Attributes", {})
    return found


def shown_default(value: object) -> str:
    """Write a default."""
    if value is PydanticUndefined:
        return ""
    if isinstance(value, timedelta):
        return length_of_time(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:_}".replace("_", " ")
    return f"`{value}`"


def write_openapi(path: Path, *, allow_narrowing: bool = False) -> None:
    """Write the OpenAPI document, which within v1 takes nothing away from its clients."""
    new = openapi()
    old: dict[str, object] = new
    if path.exists():
        old = json.loads(path.read_text(encoding="utf-8"))
    lost = narrowings(old, new)
    if lost and not allow_narrowing:
        raise SystemExit("The API would take something away:\n  " + "\n  ".join(lost))
    path.write_text(json.dumps(new, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    write_openapi(FOLDER / "openapi.json", allow_narrowing="--allow-narrowing" in sys.argv)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
