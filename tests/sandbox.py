"""Temporal's sandbox around the sealed room, in which tests replay what workers have run.

Workers interpret runs without it: the only workflow code that they know is Pulse's own, and its
guard would cost every run some 10 ms of CPU to find, again and again, what these tests find once.
"""

from __future__ import annotations

import pkgutil
from pathlib import Path

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

import pulse_temporal

HOUSE = Path(pulse_temporal.__file__).parent
SEALED_ROOM = "workflows"
LIBRARIES = (
    "annotated_types",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
)


def passthrough_modules() -> tuple[str, ...]:
    """Return the modules that are not loaded anew for every run: every room but ``workflows/``."""
    rooms = [
        f"pulse_temporal.{room.name}"
        for room in pkgutil.iter_modules([str(HOUSE)])
        if room.name not in (SEALED_ROOM, "__main__")
    ]
    return (*rooms, *LIBRARIES)


def workflow_runner() -> SandboxedWorkflowRunner:
    """Return the sandbox in which histories are replayed."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*passthrough_modules())
    return SandboxedWorkflowRunner(restrictions=restrictions)
