"""Makes processes that play a scenario and may die on the way; forks, so that they start fast.

    python -m tests.faults.crash_process

Each line of its input is an order: a JSON object with the names of ``Order``. For each it forks a
process, and when that has ended it prints ``{"id": ..., "status": ...}``: the exit status, which
is negative after a signal. It ends with its input, and its processes with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from pulse_temporal import failpoints
from tests.faults.crash_scenarios import SCENARIOS, Stage

PLAY_SECONDS = 80.0


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is to play, where, and at which failpoints something happens."""

    id: int
    scenario: str
    failpoints: str
    dsn: str
    temporal_address: str
    queue: str
    folder: str

    @property
    def stage(self) -> Stage:
        """Where it plays."""
        calls = Path(self.folder) / "calls"
        return Stage(self.dsn, self.temporal_address, self.queue, calls)

    @property
    def arrivals(self) -> Path:
        """Where the process leaves how often it came to each failpoint."""
        return Path(self.folder) / "arrivals.json"

    def line(self) -> bytes:
        """Return it as a line of input."""
        return f"{json.dumps(asdict(self))}\n".encode()


async def play(order: Order) -> None:
    """Play a scenario to its end, unless a failpoint ends this process."""
    async with asyncio.timeout(PLAY_SECONDS):
        await SCENARIOS[order.scenario].play(order.stage)


def be_the_process(order: Order) -> int:
    """Play in this process, which was made for it; give its exit status."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    armed = failpoints.parse(order.failpoints)
    failpoints.arm(armed)
    try:
        asyncio.run(play(order))
    except BaseException:  # noqa: BLE001 - the process ends here
        traceback.print_exc()
        return 1
    arrivals = {name: found.arrivals for name, found in armed.items() if found.arrivals}
    order.arrivals.write_text(json.dumps(arrivals), encoding="utf-8")
    return 0


def start(order: Order) -> int:
    """Fork a process for an order; give its id."""
    pid = os.fork()
    if pid == 0:
        status = be_the_process(order)
        sys.stderr.flush()
        os._exit(status)
    return pid


def report(pids: dict[int, Order]) -> None:
    """Say which processes have ended, and how."""
    while pids:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        order = pids.pop(pid)
        ended = {"id": order.id, "status": os.waitstatus_to_exitcode(status)}
        sys.stdout.write(f"{json.dumps(ended)}\n")
        sys.stdout.flush()


def only_wake(_signal: int, _frame: FrameType | None) -> None:
    """Be a handler: without one, no byte is written for a signal."""


def main() -> None:
    """Take orders until the input ends."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, only_wake)
    pids: dict[int, Order] = {}
    rest = b""
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 512)
            report(pids)
        if 0 in readable:
            given = os.read(0, 65_536)
            if not given:
                break
            *lines, rest = (rest + given).split(b"\n")
            for line in lines:
                order = Order(**json.loads(line))
                pids[start(order)] = order
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
