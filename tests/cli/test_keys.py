"""``pulse keys`` and ``pulse audit``."""

from __future__ import annotations

import json

from tests.cli.conftest import Ask
from tests.harness import TENANT, PulseTest


async def test_a_key_is_made_used_rotated_and_revoked(ask: Ask, idle_pulse: PulseTest) -> None:
    made = await ask("keys", "create", "ci", "--role", "viewer", "--expires", "2d", "-t", TENANT)
    (token,) = made.lines
    assert "cannot be shown again" in made.stderr
    key = await idle_pulse.engine.authenticate_api_key(token)
    assert (key.tenant_id, key.name, "runs:read" in key.scopes) == (TENANT, "ci", True)
    assert key.expires_at is not None
    assert key.created_by.startswith("cli:")

    rotated = json.loads((await ask("keys", "rotate", key.id, "-ojson")).stdout)
    assert rotated["key"]["name"] == "ci"
    revoked = await ask("keys", "revoke", key.id, "--reason", "leaked", "-t", TENANT)
    assert revoked.lines == [f"✓ {key.id} revoked"]

    listed = await ask("keys", "list")
    _, newest, oldest = listed.lines
    assert newest.startswith(f"✓ works    {rotated['key']['id']}  {TENANT}")
    assert oldest.startswith(f"✗ revoked  {key.id}")
    trail = await ask("audit", "list", "--subject", key.id)
    assert trail.lines[1].endswith("leaked")
    actions = [next(word for word in each.split() if "key." in word) for each in trail.lines[1:]]
    assert actions == ["key.revoke", "key.rotate", "key.create"]
    only = json.loads((await ask("audit", "list", "--action", "key.rotate", "-ojsonl")).stdout)
    assert only["subjectId"] == key.id


async def test_a_key_of_all_tenants_is_asked_for_with_a_star(
    ask: Ask, idle_pulse: PulseTest
) -> None:
    made = await ask("keys", "create", "ci", "--scope", "runs:read", "-t", "*")
    assert (await idle_pulse.engine.authenticate_api_key(made.lines[0])).tenant_id is None


async def test_a_key_that_is_not_there_or_makes_no_sense_is_refused(ask: Ask) -> None:
    assert (await ask("keys", "revoke", "key_x")).status == 4
    assert (await ask("keys", "create", "ci", "--role", "king", "-t", TENANT)).status == 2
    assert (await ask("keys", "create", "ci", "--scope", "x", "-t", TENANT)).status == 2
    assert (await ask("keys", "create", "ci", "-t", TENANT)).status == 2
