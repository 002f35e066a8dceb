"""A definition as a drawing: where its steps stand and which lines join them.

A definition is a tree of lists and branches, so a list is a column, the branches of a parallel
step are columns beside each other, and no layout has to be searched for. The steps are read as
the JSON that is stored: a kind of step of a newer release has its place too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from pydantic import JsonValue

from pulse_temporal.model.definitions import DefinitionSnapshot, WorkflowDefinition
from pulse_temporal.model.lengths import short_length_text
from pulse_temporal.model.paths import Path, branch_path, child_path
from pulse_temporal.model.steps import STEP_MODELS
from pulse_temporal.model.values import Value

NODE_WIDTH = 200
NODE_HEIGHT = 42
STEP_GAP = 20
LANE_GAP = 14
BLOCK_HEAD = 30
BLOCK_FOOT = 16
EDGE_MARGIN = 4

MOST_MILLISECONDS = 10**14
"""Longer than any delay; a ``timedelta`` cannot hold all numbers."""


class GraphNode(Value):
    """A step, or the outline of a parallel step round its branches.

    Attributes:
        path: Of the step.
        name: Its name; ``?`` when it has none.
        kind: Its type; ``?`` when it has none.
        is_known: Whether this release knows the kind.
        detail: What it does beyond its name, in a few words; may be empty.
        is_block: Whether other nodes are inside of it.
        x: Left edge.
        y: Top edge.
    """

    path: Path
    name: str
    kind: str
    is_known: bool
    detail: str
    is_block: bool
    x: float
    y: float
    width: float
    height: float


class GraphEdge(Value):
    """A vertical line from one step down to the next."""

    x: float
    top: float
    bottom: float


class DefinitionGraph(Value):
    """A drawing; its origin is the upper left corner.

    Attributes:
        nodes: In document order; an outline before what is inside of it.
        edges: From the top down.
    """

    width: float
    height: float
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]


def steps_of(definition: DefinitionSnapshot | WorkflowDefinition) -> list[JsonValue]:
    """Return the steps of a definition or of a snapshot as they are stored, understood or not."""
    if definition.not_understood is None or definition.raw is None:
        stored: JsonValue = definition.model_dump(mode="json", include={"steps"})["steps"]
    else:
        stored = definition.raw.get("steps")
    return stored if isinstance(stored, list) else []


def graph_of(steps: Sequence[JsonValue]) -> DefinitionGraph:
    """Return the drawing of a list of steps.

    Args:
        steps: As a definition is stored; what is no step at all is drawn as an unknown kind.
    """
    size = _list_size(steps)
    drawing = _Drawing()
    drawing.column(steps, middle=EDGE_MARGIN + size.width / 2, top=EDGE_MARGIN, prefix="")
    return DefinitionGraph(
        width=size.width + 2 * EDGE_MARGIN,
        height=size.height + 2 * EDGE_MARGIN,
        nodes=tuple(drawing.nodes),
        edges=tuple(drawing.edges),
    )


class _Size(NamedTuple):
    width: float
    height: float


class _Drawing:
    """Collects nodes and edges while the tree is walked."""

    def __init__(self) -> None:
        self.nodes: list[GraphNode] = []
        self.edges: list[GraphEdge] = []

    def column(
        self, steps: Sequence[JsonValue], *, middle: float, top: float, prefix: str
    ) -> float:
        """Draw a list from a height on; return where it ends."""
        bottom = top
        for index, step in enumerate(steps):
            if index:
                top = bottom + STEP_GAP
                self.edges.append(GraphEdge(x=middle, top=bottom, bottom=top))
            bottom = self._step(step, middle=middle, top=top, path=child_path(prefix, index))
        return bottom

    def _step(self, step: JsonValue, *, middle: float, top: float, path: Path) -> float:
        size = _step_size(step)
        branches = _branches(step)
        kind = _text(step, "type")
        left = middle - size.width / 2
        self.nodes.append(
            GraphNode(
                path=path,
                name=_text(step, "name"),
                kind=kind,
                is_known=kind in STEP_MODELS,
                detail=_detail(step),
                is_block=bool(branches),
                x=left,
                y=top,
                width=size.width,
                height=size.height,
            )
        )
        left += LANE_GAP
        for number, branch in enumerate(branches):
            lane = _list_size(branch)
            self.column(
                branch,
                middle=left + lane.width / 2,
                top=top + BLOCK_HEAD,
                prefix=branch_path(path, number),
            )
            left += lane.width + LANE_GAP
        return top + size.height


def _list_size(steps: Sequence[JsonValue]) -> _Size:
    sizes = [_step_size(step) for step in steps]
    return _Size(
        max((size.width for size in sizes), default=NODE_WIDTH),
        sum(size.height for size in sizes) + STEP_GAP * max(len(sizes) - 1, 0),
    )


def _step_size(step: JsonValue) -> _Size:
    branches = _branches(step)
    if not branches:
        return _Size(NODE_WIDTH, NODE_HEIGHT)
    lanes = [_list_size(branch) for branch in branches]
    return _Size(
        sum(lane.width for lane in lanes) + LANE_GAP * (len(lanes) + 1),
        max(lane.height for lane in lanes) + BLOCK_HEAD + BLOCK_FOOT,
    )


def _branches(step: JsonValue) -> list[list[JsonValue]]:
    if not isinstance(step, Mapping) or step.get("type") != "parallel":
        return []
    stored = step.get("branches")
    branches = stored if isinstance(stored, list) else []
    return [branch for branch in branches if isinstance(branch, list)]


def _text(step: JsonValue, field: str) -> str:
    found = step.get(field) if isinstance(step, Mapping) else None
    return found if isinstance(found, str) and found else "?"


def _detail(step: JsonValue) -> str:
    """Return what a step does beyond its name, as far as this release understands it."""
    if not isinstance(step, Mapping):
        return ""
    match step.get("type"):
        case "action":
            return _uses(step)
        case "condition":
            return ", ".join(part for part in (_uses(step), _if_false(step)) if part)
        case "delay":
            return _length(step.get("delayMs"))
        case "parallel":
            return f"{len(_branches(step))} branches"
        case _:
            return "of a newer release"


def _length(milliseconds: JsonValue) -> str:
    if not isinstance(milliseconds, int | float) or milliseconds > MOST_MILLISECONDS:
        return ""
    return short_length_text(timedelta(milliseconds=milliseconds))


def _uses(step: Mapping[str, JsonValue]) -> str:
    uses = step.get("uses")
    return uses if isinstance(uses, str) and uses != step.get("name") else ""


def _if_false(step: Mapping[str, JsonValue]) -> str:
    match step.get("onFalse", "complete"):
        case "complete":
            return "if false: ends here"
        case "skip" | 1:
            return "if false: skips the next"
        case int() as count:
            return f"if false: skips {count}"
        case _:
            return ""
