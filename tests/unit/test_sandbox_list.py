"""What Temporal's sandbox loads anew for every run: the sealed room, and nothing else."""

from __future__ import annotations

from pathlib import Path

from temporalio.worker.workflow_sandbox import SandboxRestrictions

import pulse_temporal
from tests.sandbox import SEALED_ROOM, passthrough_modules, workflow_runner

HOUSE = Path(pulse_temporal.__file__).parent


def rooms() -> set[str]:
    """Find the rooms as the file system shows them."""
    modules = {file.stem for file in HOUSE.glob("*.py")} - {"__init__", "__main__"}
    return modules | {file.parent.name for file in HOUSE.glob("*/__init__.py")}


def test_every_room_but_the_sealed_one_is_passed_through() -> None:
    """A room that is forgotten costs tens of milliseconds a run."""
    passed = {name for name in passthrough_modules() if name.startswith("pulse_temporal")}
    assert passed == {f"pulse_temporal.{room}" for room in rooms() - {SEALED_ROOM}}


def test_the_sealed_room_keeps_its_guard() -> None:
    """Passing the package itself through would pass the sealed room through with it."""
    passed = workflow_runner().restrictions.passthrough_modules
    assert SEALED_ROOM in rooms()
    assert not passed & {"pulse_temporal", f"pulse_temporal.{SEALED_ROOM}"}
    assert not [name for name in passed if name.startswith(f"pulse_temporal.{SEALED_ROOM}.")]


def test_the_usual_guards_stay_on() -> None:
    """The sandbox still refuses what differs between two replays."""
    usual = SandboxRestrictions.default
    ours = workflow_runner().restrictions
    assert ours.invalid_module_members == usual.invalid_module_members
    assert ours.invalid_modules == usual.invalid_modules
