"""``pulse definitions validate``, ``plan``, ``apply`` and ``export`` on real files."""

from __future__ import annotations

import json
from getpass import getuser
from pathlib import Path

import pytest

from tests.cli.conftest import Ask
from tests.harness import PulseTest

INCIDENT = """\
key: incident
tenants: [acme, beta]
name: Incident
triggerType: heartbeat.missed
steps:
  - {type: delay, name: wait, delayMs: 1000}
  - type: delay
    name: wait more
    delayMs: 2000
"""
TRIAL = """\
key: trial
tenants: [acme]
name: Trial
triggerType: trial.started
config: {zone: 12:30:00, country: NO, day: 2026-01-01}
steps: []
"""


@pytest.fixture
def flows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two definitions; commands name no tenant."""
    monkeypatch.delenv("PULSE_TENANT", raising=False)
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "all.yaml").write_text(f"{INCIDENT}---\n{TRIAL}", encoding="utf-8")
    return folder


def mend(folder: Path, old: str, new: str) -> None:
    file = folder / "all.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


async def test_plan_apply_plan(ask: Ask, flows: Path, idle_pulse: PulseTest) -> None:
    planned = await ask("definitions", "plan", str(flows))
    assert planned.lines == ["acme  +  incident", "acme  +  trial", "beta  +  incident"]
    assert planned.stderr == "Plan: 3 to add. Nothing was done.\n"
    assert (await ask("definitions", "apply", str(flows), "--check")).status == 1
    assert not (await idle_pulse.engine.list_workflows()).items

    applied = await ask("definitions", "apply", str(flows))
    assert (applied.lines, applied.status) == (planned.lines, 0)
    assert applied.stderr == "Applied: 3 added.\n"
    again = await ask("definitions", "plan", str(flows))
    assert (again.stdout, again.stderr) == ("", "Plan: nothing to do. Nothing was done.\n")
    assert (await ask("definitions", "apply", str(flows), "--check")).status == 0


async def test_yaml_keeps_text_as_it_is_written(
    ask: Ask, flows: Path, idle_pulse: PulseTest
) -> None:
    await ask("definitions", "apply", str(flows))
    (trial,) = await idle_pulse.engine.list_workflows(trigger_type="trial.started")
    assert trial.config == {"zone": "12:30:00", "country": "NO", "day": "2026-01-01"}


async def test_a_change_is_told_by_field_and_by_step(ask: Ask, flows: Path) -> None:
    await ask("definitions", "apply", str(flows))
    mend(flows, "delayMs: 2000", "delayMs: 3000")
    mend(flows, "name: Trial", "name: Trial!")

    planned = await ask("definitions", "plan", str(flows), "--tenant", "acme")

    assert planned.status == 2  # the view of one tenant cannot plan another's
    planned = await ask("definitions", "plan", str(flows))
    assert planned.lines == [
        "acme  ~  incident  v1  wait more delayMs 2000 → 3000",
        'acme  ~  trial     v1  name "Trial" → "Trial!"',
        "beta  ~  incident  v1  wait more delayMs 2000 → 3000",
    ]
    as_json = json.loads((await ask("definitions", "plan", str(flows), "-ojson")).stdout)
    assert [change["action"] for change in as_json["changes"]] == ["update"] * 3


async def test_a_drift_is_left_alone_until_it_is_forced(
    ask: Ask, flows: Path, idle_pulse: PulseTest
) -> None:
    await ask("definitions", "apply", str(flows))
    (trial,) = await idle_pulse.engine.list_workflows(trigger_type="trial.started")
    await idle_pulse.engine.update_workflow(trial.id, {"name": "By hand"})

    applied = await ask("definitions", "apply", str(flows))
    assert applied.status == 1
    assert applied.lines[0].startswith("acme  !  trial  v2  was changed since")
    assert "--force overwrites" in applied.stderr
    forced = await ask("definitions", "apply", str(flows), "--force")
    assert forced.status == 0
    assert "overwritten" in forced.stdout

    mend(flows, "name: Trial", "name: New")
    await ask("definitions", "disable", trial.id, "--tenant", "acme")
    mend(flows, "steps: []", "steps: []\nisEnabled: true")
    named = await ask("definitions", "plan", str(flows))
    assert named.lines[0].startswith(f"acme  !  trial  v4  was changed by {getuser()} since")


async def test_prune_asks_and_touches_only_its_set(
    ask: Ask, flows: Path, idle_pulse: PulseTest, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "o.json").write_text(
        json.dumps({"key": "o", "tenantId": "acme", "name": "o", "triggerType": "o", "steps": []}),
        encoding="utf-8",
    )
    assert (await ask("definitions", "apply", str(other))).status == 0
    await ask("definitions", "apply", str(flows), "--set", "shop")
    (flows / "all.yaml").write_text(TRIAL, encoding="utf-8")

    unsure = await ask("definitions", "apply", str(flows), "--set", "shop", "--prune")
    assert unsure.status == 2
    assert "Delete 2 definitions? Nobody can be asked here" in unsure.stderr
    pruned = await ask("definitions", "apply", str(flows), "--set", "shop", "--prune", "--yes")
    assert pruned.lines == ["acme  -  incident  v1", "beta  -  incident  v1"]
    left = [each.key async for each in idle_pulse.engine.definitions.iterate()]
    assert sorted(map(str, left)) == ["o", "trial"]


async def test_mistakes_are_told_by_file_and_line_and_nothing_is_done(
    ask: Ask, flows: Path, idle_pulse: PulseTest
) -> None:
    mend(flows, "delayMs: 2000", "delayMs: -1")
    mend(flows, "name: Trial", "names: Trial")

    for command in ("plan", "apply", "validate"):
        told = await ask("definitions", command, str(flows))
        assert told.status == 1, command
        assert told.lines[0] == f"{flows}/all.yaml:9  /steps/1/delayMs  must be more than 0"
        assert any("all.yaml:13  /names" in line and '"name"' in line for line in told.lines)
    items = json.loads((await ask("definitions", "plan", str(flows), "-ojson")).stdout)
    assert (items[0]["line"], items[0]["pointer"]) == (9, "/steps/1/delayMs")
    assert not (await idle_pulse.engine.list_workflows()).items


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("key: a\nkey: b\n", ':2  /  found duplicate key "key"'),
        ("a: [1\nb: 2\n", ":2  /  "),
        ("- 1\n", ":1  /  must be an object"),
        ("key: a\nname: a\n", ":1  /tenants  no tenant is named"),
        ('key: a\ntenants: ["*"]\n', ':2  /tenants  names each tenant; "*" is none'),
        ("key: a\ntenants: acme\n", ":2  /tenants  must be a list"),
        ("a: !!python/object/apply:os.system [ls]\n", ":1  /tenants  no tenant is named"),
        (
            "a: &a [x, x]\n"
            + "".join(
                f"{c}: &{c} [*{p}, *{p}]\n"
                for p, c in zip("abcdefghijklmnopq", "bcdefghijklmnopqr", strict=True)
            ),
            "has more than 200000 values",
        ),
    ],
)
async def test_a_file_that_cannot_be_read_is_a_problem_of_its_line(
    ask: Ask, flows: Path, text: str, says: str
) -> None:
    (flows / "all.yaml").write_text(text, encoding="utf-8")
    told = await ask("definitions", "plan", str(flows))
    assert told.status == 1
    assert f"all.yaml{says}" in told.stdout or says in told.stdout


async def test_a_place_that_does_not_exist_is_a_wrong_command_line(ask: Ask) -> None:
    told = await ask("definitions", "apply", "absent")
    assert (told.stdout, told.status) == ("", 2)
    assert "There is no file or folder absent." in told.stderr


async def test_what_is_exported_is_what_is_applied(ask: Ask, flows: Path, tmp_path: Path) -> None:
    await ask("definitions", "apply", str(flows))
    folder = tmp_path / "out"

    told = await ask("definitions", "export", str(folder))

    assert sorted(Path(line).relative_to(folder).as_posix() for line in told.lines) == [
        "acme/incident.yaml",
        "acme/trial.yaml",
        "beta/incident.yaml",
    ]
    again = await ask("definitions", "plan", str(folder), "--set", "flows")
    assert (again.stdout, again.stderr) == ("", "Plan: nothing to do. Nothing was done.\n")
    assert (await ask("definitions", "export", str(folder))).status == 2
    printed = await ask("definitions", "export", "--tenant", "beta")
    assert printed.lines[:3] == ["---", "key: incident", "tenants:"]
