"""All methods of an engine that are awaited; the views of an engine are made from them."""

from __future__ import annotations

from pulse_temporal.engine.definitions import DefinitionMethods
from pulse_temporal.engine.lifecycle import Lifecycle
from pulse_temporal.engine.runs import RunMethods


class AwaitableMethods(Lifecycle, DefinitionMethods, RunMethods):
    """All methods of an engine that are awaited."""
