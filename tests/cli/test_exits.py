"""Every error has an exit code, and a block that says what to do."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from pulse_temporal import errors
from pulse_temporal.cli.exits import EXITS, Exit, describe, exit_for
from pulse_temporal.errors import PulseError, RunTransitionError

CODES = {
    Exit.USAGE: {"configuration", "invalid_input"},
    Exit.UNREACHABLE: {"embedded_service", "postgres_unavailable", "temporal_unavailable"},
    Exit.NOT_FOUND: {"not_found"},
    Exit.CONFLICT: {
        "bulk_over",
        "definition_conflict",
        "emit_busy",
        "key_rotated",
        "idempotency_conflict",
        "run",
        "run_conflict",
        "run_transition",
        "transaction_conflict",
    },
    Exit.NOT_ALLOWED: {"key_revoked", "missing_right", "token_expired", "token_invalid"},
}


def kinds() -> Iterator[type[PulseError]]:
    for kind in vars(errors).values():
        if inspect.isclass(kind) and issubclass(kind, PulseError):
            yield kind


@pytest.mark.parametrize("kind", [*kinds()], ids=lambda kind: kind.code)
def test_every_error_of_the_tree_has_its_exit_code(kind: type[PulseError]) -> None:
    error = kind.__new__(kind)
    wanted = next((code for code, names in CODES.items() if kind.code in names), Exit.FAILED)
    assert exit_for(error) == wanted


def test_a_narrower_class_is_asked_before_a_wider_one() -> None:
    order = list(EXITS)
    for place, kind in enumerate(order):
        assert not [later for later in order[place + 1 :] if issubclass(later, kind)]


def test_what_tenants_wrote_cannot_command_the_terminal() -> None:
    block = describe(RunTransitionError("Run \x1b[2J\u202e is over."), advice=["Look \x07 there."])
    assert block.plain.splitlines() == [
        "Error [run_transition]",
        "  Run \N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER} is over.",
        "  Look \N{REPLACEMENT CHARACTER} there.",
    ]
