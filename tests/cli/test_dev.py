"""``pulse init`` and ``pulse dev``: the tutorial that a new project comes with, step by step."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from signal import SIGINT
from urllib.request import urlopen

from pulse_temporal.cli.connection import PROFILE
from tests.cli.conftest import Do
from tests.cli.projects import PATIENCE, next_worker, start_dev, workers_of
from tests.processes import Programs, kill_at_once

RAISE = '    raise RuntimeError("pager is down")\n'
FIRST_LINE = '    incident = ctx.run.context["create_incident"]\n'


def edit(hello: Path, old: str, new: str) -> None:
    file = hello / "app.py"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


async def page(url: str) -> str:
    """Return the text of a page."""

    def get() -> str:
        with urlopen(url, timeout=PATIENCE.total_seconds()) as answer:  # noqa: S310 - our own
            return answer.read().decode()

    return await asyncio.to_thread(get)


EMIT = ("emit", "heartbeat.missed", "--resource", "service/api-1")


async def test_the_tutorial_of_a_new_project(hello: Path, do: Do, programs: Programs) -> None:
    dev = start_dev(programs, hello)
    await dev.says("flows    create  incident")
    await next_worker(dev, 1)

    first = await do(*EMIT, "--wait")
    assert first.status == 0
    assert "✓ notify_oncall" in first.stdout

    # The page of that run is a click away.
    pages = re.search(r"Pages +(http://127\.0\.0\.1:\d+/)", dev.stdout)
    assert pages is not None
    shown = await page(f"{pages[1]}t/dev/runs/{first.lines[-1].split()[-1]}")
    assert "notify_oncall" in shown

    # Break it: the run fails, and says where.
    edit(hello, FIRST_LINE, RAISE + FIRST_LINE)
    await next_worker(dev, 2)
    broken = await do(*EMIT, "--wait")
    assert broken.status == 1
    run_id = broken.lines[-1].split()[-1]
    shown = await do("runs", "show", run_id)
    assert "RuntimeError: pager is down" in shown.stdout
    assert "app.py" in shown.stdout

    # A mistake in the text: the worker goes on as it is.
    edit(hello, RAISE, "    raise RuntimeError(\n")
    await dev.says("cannot be loaded")
    await dev.says("SyntaxError")
    assert len(workers_of(dev)) == 2

    # Mend it: the run goes on where it failed.
    edit(hello, "    raise RuntimeError(\n", "")
    third = await next_worker(dev, 3)
    assert (await do("runs", "retry", run_id)).status == 0
    assert (await do("runs", "watch", run_id, "--timeout", "30s")).status == 0

    # Kill the worker in the middle of the delay: another one goes on.
    sent = await do(*EMIT)
    run_id = sent.lines[-1].strip()
    kill_at_once(third)
    await next_worker(dev, 4)
    assert (await do("runs", "watch", run_id, "--timeout", "60s")).status == 0

    second = await do("dev")
    assert second.lines[0] == f"pulse dev runs here already, as process {dev.pid}."
    assert pages[1] in second.stdout

    assert await asyncio.to_thread(dev.end, SIGINT) == 0
    assert dev.processes() == []
    assert not (hello / PROFILE).exists()
    gone = await do("runs", "list")
    assert (gone.stdout, gone.status) == ("", 2)


async def test_flows_are_applied_when_they_change(hello: Path, programs: Programs) -> None:
    dev = start_dev(programs, hello, "--ephemeral", "--no-reload")
    await dev.says("flows    create  incident")
    assert await asyncio.to_thread(dev.end, SIGINT) == 0

    dev = start_dev(programs, hello)
    await dev.says("flows    create  incident")  # nothing was kept of the time before
    flow = hello / "flows" / "incident.yaml"
    flow.write_text(flow.read_text(encoding="utf-8").replace("3000", "-1"), encoding="utf-8")
    await dev.says("flows    incident.yaml:6  /steps/0/delayMs  must be more than 0")
    flow.write_text(flow.read_text(encoding="utf-8").replace("-1", "1000"), encoding="utf-8")
    await dev.says("flows    update  incident")
    assert await asyncio.to_thread(dev.end, SIGINT) == 0


async def test_an_application_must_be_there_and_only_one(hello: Path, do: Do) -> None:
    (hello / "pyproject.toml").unlink()
    (hello / "main.py").write_text("def register(engine): ...\n", encoding="utf-8")
    two = await do("dev")
    assert (two.status, two.stdout) == (2, "")
    assert "pulse dev app or pulse dev main" in two.stderr
    for name in ("app.py", "main.py"):
        (hello / name).unlink()
    none = await do("dev")
    assert none.status == 2
    assert "pulse init NAME" in none.stderr


async def test_a_folder_that_is_not_empty_is_refused(hello: Path, do: Do) -> None:
    before = sorted(hello.rglob("*"))
    told = await do("init", str(hello))
    assert (told.stdout, told.status) == ("", 2)
    assert "is not empty; name a new folder" in told.stderr
    assert sorted(hello.rglob("*")) == before
    odd = await do("init", "..")
    assert odd.status == 2


def test_the_test_of_a_new_project_passes(hello: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=hello,
        capture_output=True,
        check=False,
        text=True,
    )
    assert "1 passed" in done.stdout, done.stdout
