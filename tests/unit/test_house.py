"""House rules that no other tool checks."""

import re
from collections.abc import Iterator
from pathlib import Path

import pulse_temporal

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", "docs", "examples", "pulse_temporal", "requirements", "tests", "workers")
LINE_LIMITS = {"pulse_temporal": 400, "workers": 400, "tests": 500}
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users)/")


def committed_texts() -> Iterator[tuple[Path, str]]:
    """Give every text file that belongs to the project."""
    paths: list[Path] = []
    for pattern in ("*.md", "*.toml", "*.yml", "Makefile"):
        paths += ROOT.glob(pattern)
    for folder in FOLDERS:
        paths += (ROOT / folder).rglob("*")
    for path in paths:
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(ROOT), path.read_text(encoding="utf-8", errors="replace")


def test_files_stay_short() -> None:
    lengths = {
        path: len(text.splitlines()) for path, text in committed_texts() if path.suffix == ".py"
    }
    assert Path("pulse_temporal/__init__.py") in lengths
    too_long = [
        f"{path}: {lines}"
        for path, lines in lengths.items()
        if lines > LINE_LIMITS.get(path.parts[0], 400)
    ]
    assert not too_long


def test_public_names_are_documented() -> None:
    names = pulse_temporal.__all__
    assert names
    assert not [name for name in names if not getattr(pulse_temporal, name).__doc__]


def test_no_file_names_a_place_of_one_machine() -> None:
    found = [
        f"{path}:{number}"
        for path, text in committed_texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert not found


def test_the_lock_file_leaves_the_index_to_the_user() -> None:
    lock = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    assert "--hash=sha256:" in lock
    assert not re.findall(r"://|--(?:extra-)?index-url|--find-links|--trusted-host| @ ", lock)


def test_no_text_recommends_installing_a_name_that_is_not_published() -> None:
    """Whoever owns the name on the package index would own what our users install."""
    name = re.compile(r"pip install [^\n#]*pulse[-_](?:workflows|temporal)")
    found = [
        f"{path}:{number}"
        for path, text in committed_texts()
        if path.parts[0] != "tests" and path.name != "Dockerfile"
        for number, line in enumerate(text.splitlines(), start=1)
        if name.search(line)
    ]
    assert not found
