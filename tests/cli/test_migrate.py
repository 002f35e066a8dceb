"""``pulse migrate`` on a real database."""

from __future__ import annotations

from pulse_temporal.embedded.ports import free_ports
from tests.cli.conftest import StartPulse


def test_the_first_time_it_tells_what_it_did_and_then_that_nothing_is_to_do(
    start_pulse: StartPulse, empty_database: str
) -> None:
    first = start_pulse("migrate", DATABASE_URL=empty_database)
    assert first.wait() == 0
    assert first.stdout.startswith("applied 0001_")
    again = start_pulse("migrate", DATABASE_URL=empty_database)
    assert again.wait() == 0
    assert again.stdout == "The tables are up to date.\n"


def test_a_server_that_is_away_is_an_exit_code(start_pulse: StartPulse) -> None:
    command = start_pulse("migrate", DATABASE_URL=f"postgresql://127.0.0.1:{free_ports([0])[0]}/x")
    assert command.wait() == 3
    assert "postgres_unavailable" in command.stderr
