"""Read definitions from YAML and JSON files, and know on which line each value stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pulse_temporal.cli.exits import UsageError
from pulse_temporal.model.plain import is_mapping, is_sequence

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
MOST_VALUES = 200_000
"""Values of one file; references that are repeated can make a small file very large."""


@dataclass(frozen=True, slots=True)
class FileProblem:
    """What is wrong in a file; ``line`` counts from 1."""

    path: Path
    line: int
    pointer: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class FlowDocument:
    """One definition of a file, for one tenant.

    Attributes:
        path: Of the file.
        content: The definition, with its tenant.
        lines: Line of each value, by JSON pointer, from 1.
    """

    path: Path
    content: Mapping[str, object]
    lines: Mapping[str, int]

    def line_of(self, pointer: str) -> int:
        """Return the line of a value, or of the nearest one that contains it."""
        while pointer and pointer not in self.lines:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer, 1)


@dataclass(frozen=True, slots=True)
class FlowFiles:
    """The definitions of some files, and what is wrong with the files themselves."""

    documents: Sequence[FlowDocument]
    problems: Sequence[FileProblem]


def files_of(places: Sequence[Path]) -> list[Path]:
    """Return the files with definitions in some folders, and those that are named.

    Raises:
        UsageError: One of them does not exist.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = (path for path in place.rglob("*") if path.suffix in SUFFIXES)
            found += sorted(path for path in inside if path.is_file() and not _is_hidden(path))
        elif place.is_file():
            found.append(place)
        else:
            raise UsageError(f"There is no file or folder {place}.")
    return list(dict.fromkeys(found))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") and part not in {".", ".."} for part in path.parts)


def read_files(places: Sequence[Path], *, tenant: str | None) -> FlowFiles:
    """Read all definitions of files and folders, once for each of their tenants.

    Args:
        places: Files, and folders that are searched.
        tenant: Whose definitions those are that name no tenant.

    Raises:
        UsageError: A place does not exist.
    """
    documents: list[FlowDocument] = []
    problems: list[FileProblem] = []
    for path in files_of(places):
        for found in _read(path, tenant):
            if isinstance(found, FileProblem):
                problems.append(found)
            else:
                documents.append(found)
    return FlowFiles(documents, problems)


def _read(path: Path, tenant: str | None) -> Iterator[FlowDocument | FileProblem]:
    yaml = YAML(typ="rt", pure=True)
    load: Callable[[StringIO], Iterable[object]] = yaml.load_all  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - ruamel has no types
    try:
        parsed = list(load(StringIO(path.read_text(encoding="utf-8"))))
    except MarkedYAMLError as error:
        yield FileProblem(path, _line_of_mark(error), "", _reason(error))
        return
    except (OSError, UnicodeDecodeError, YAMLError, RecursionError, ValueError) as error:
        yield FileProblem(path, 1, "", f"cannot be read: {_reason(error)}")
        return
    for document in parsed:
        if document is not None:  # nothing between two ---
            yield from _documents(path, document, tenant)


def _line_of_mark(error: Exception) -> int:
    line: object = getattr(getattr(error, "problem_mark", None), "line", None)
    return line + 1 if isinstance(line, int) else 1


def _reason(error: Exception) -> str:
    """Return what is wrong, without the advice for programmers that ruamel adds."""
    problem: object = getattr(error, "problem", None)
    return str(problem or error).strip().partition("\n")[0]


def _documents(
    path: Path, document: object, tenant: str | None
) -> Iterator[FlowDocument | FileProblem]:
    reader = _Plain()
    try:
        content = reader.plain(document, "", line=1)
    except _TooLargeError:
        yield FileProblem(path, 1, "", f"has more than {MOST_VALUES} values")
        return
    start = reader.lines.get("", 1)
    if not is_mapping(content):
        yield FileProblem(path, start, "", "must be an object with the fields of a definition")
        return
    fields: dict[str, object] = {str(name): value for name, value in content.items()}
    line = reader.lines.get("/tenants", start)
    tenants = _tenants(fields, tenant)
    if isinstance(tenants, str):
        yield FileProblem(path, line, "/tenants", tenants)
        return
    for each in tenants:
        yield FlowDocument(path, {**fields, "tenantId": each}, reader.lines)


def _tenants(fields: dict[str, object], usual: str | None) -> list[str] | str:
    """Take the tenants out of a document; return them, or what is wrong with them."""
    named = fields.pop("tenants", None)
    own = fields.pop("tenantId", fields.pop("tenant_id", None))
    if named is None:
        named = [usual if own is None else own]
        if named == [None]:
            return "no tenant is named: write tenants: [...], or say --tenant"
    each = list(named) if is_sequence(named) else [None]
    texts = [tenant for tenant in each if isinstance(tenant, str)]
    if len(texts) < len(each) or not texts:
        return "must be a list of tenants' ids"
    if "*" in texts:
        return 'names each tenant; "*" is none'
    return list(dict.fromkeys(texts))


class _TooLargeError(Exception):
    """A file with more values than are read."""


class _Plain:
    """Turns what ruamel has read into JSON's own types.

    Attributes:
        lines: Line of each value that was read, by JSON pointer.
    """

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}

    def plain(self, value: object, pointer: str, *, line: int) -> object:
        """Return a value and all that it contains.

        Raises:
            _TooLargeError: There are too many values.
        """
        if len(self.lines) >= MOST_VALUES:
            raise _TooLargeError
        self.lines[pointer] = line
        if is_mapping(value):
            return {
                str(key): self.plain(
                    inner, f"{pointer}/{_escape(key)}", line=_line(value, key, line)
                )
                for key, inner in value.items()
            }
        if is_sequence(value):
            return [
                self.plain(inner, f"{pointer}/{index}", line=_line(value, index, line))
                for index, inner in enumerate(value)
            ]
        return _scalar(value)


def _scalar(value: object) -> object:
    if isinstance(value, (bool, type(None))):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def _line(value: object, key: object, line: int) -> int:
    """Return the line of an entry; one that was merged in has the line of what contains it."""
    find: object = getattr(getattr(value, "lc", None), "key", None)
    if not callable(find):
        return line
    try:
        place: object = find(key)
    except (KeyError, IndexError, TypeError):
        return line
    row = place[0] if is_sequence(place) and place else None
    return row + 1 if isinstance(row, int) else line


def _escape(key: object) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")
