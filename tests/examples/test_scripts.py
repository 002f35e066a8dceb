"""The examples run, and say what they promise."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from pulse_temporal.embedded import EmbeddedServices

EXAMPLES = Path(__file__).parents[2] / "examples"
NOT_SCRIPTS = {"stage.py", "fastapi_app.py"}
LONGEST_LINES = 80

PROMISES = {
    "incident.py": ["completed", "create_incident", "Paged about", "step_skipped"],
    "trial_expiration.py": ["Plans: {'workspace_1': 'free', 'workspace_2': 'team'}"],
    "chaining.py": ["Repair a failing service: completed", "Closed: api-server was restarted"],
    "parallel_notification.py": [
        "Slack answered 503",
        "Notified by send_email, send_slack, send_sms",
    ],
    "cron_cleanup.py": ["Next run: ", "Daily cleanup: completed", "Report: {'removed': 42}"],
    "error_recovery.py": [
        "3 runs have failed: book_courier: ConnectionError",
        "running, take 2",
        "Ship an order: completed",
        "Ship an order: canceled",
    ],
}


async def output_of(script: str, *, environment: dict[str, str]) -> str:
    """Run an example and give what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        str(EXAMPLES / script),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    async with asyncio.timeout(60):
        out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()


@pytest.mark.parametrize("script", sorted(PROMISES))
async def test_a_script_keeps_its_promise(
    script: str, servers: EmbeddedServices, database: str
) -> None:
    environment = {"DATABASE_URL": database, "TEMPORAL_ADDRESS": servers.temporal_address}

    printed = await output_of(script, environment=environment)

    assert [promise for promise in PROMISES[script] if promise not in printed] == []


async def test_without_servers_a_script_starts_its_own() -> None:
    environment = {"DATABASE_URL": "", "TEMPORAL_ADDRESS": ""}

    assert "completed" in await output_of("chaining.py", environment=environment)


def test_every_script_is_short_and_tested() -> None:
    scripts = {path.name: path for path in EXAMPLES.glob("*.py")}

    assert scripts.keys() - NOT_SCRIPTS == PROMISES.keys()
    lengths = {name: len(path.read_text().splitlines()) for name, path in scripts.items()}
    long = {name: n for name, n in lengths.items() if name in PROMISES and n >= LONGEST_LINES}
    assert not long
