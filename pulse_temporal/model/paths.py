"""The path of a step inside a run: ``2`` or, in branch 0 of that step, ``2/b0/1``.

Grammar: ``index *( "/" ("b" | "i") number "/" index )``. ``b`` is a branch of a parallel
step; ``i`` is an iteration, reserved for steps that repeat a list. The part before the
last index is the prefix of the list that has the step: ``""`` for the root list.
"""

from __future__ import annotations

import re

Path = str
"""The text of a step path."""

_NUMBER = "(?:0|[1-9][0-9]{0,8})"
_PATH = re.compile(f"{_NUMBER}(?:/[bi]{_NUMBER}/{_NUMBER})*")


def parse_path(text: str) -> Path:
    """Return the text if it is a step path.

    Raises:
        ValueError: It is not; the message shows the form.
    """
    if not _PATH.fullmatch(text):
        raise ValueError(f"{text[:100]!r} is not a step path such as '2' or '2/b0/1'")
    return text


def child_path(prefix: str, index: int) -> Path:
    """Return the path of a step, from the prefix of its list and its index there."""
    return f"{prefix}/{index}" if prefix else str(index)


def branch_path(step_path: Path, branch: int) -> str:
    """Return the prefix of a parallel step's branch: ``2`` and 0 make ``2/b0``."""
    return f"{step_path}/b{branch}"


def path_numbers(path: Path) -> list[int]:
    """Return the numbers of a path; such lists sort in document order.

    As text ``2/b0/10`` sorts before ``2/b0/2``; as ``[2, 0, 10]`` it does not.
    """
    return [int(part.lstrip("bi")) for part in path.split("/")]


def branch_prefix_of(path: Path) -> str:
    """Return the prefix of the list that has a step: ``""`` for the root, else as ``2/b0``."""
    return path.rpartition("/")[0]


def parent_of(path: Path) -> tuple[Path | None, int | None]:
    """Return the step that contains this one, and the number of its branch or iteration.

    Both are None for a step of the root list.
    """
    prefix = branch_prefix_of(path)
    if not prefix:
        return None, None
    step_path, _, branch = prefix.rpartition("/")
    return step_path, int(branch.lstrip("bi"))
