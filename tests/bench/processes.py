"""What processes cost, as Linux tells it: CPU and memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
KIBIBYTES = 1_024


def family(pids: Sequence[int]) -> Iterator[int]:
    """Yield processes and all that they have started."""
    for pid in pids:
        yield pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        except OSError:
            continue
        yield from family([int(child) for child in children.split()])


def cpu_of(pids: Sequence[int]) -> float:
    """Return the CPU seconds of processes and all that they have started."""
    total = 0.0
    for pid in family(pids):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
        except OSError:
            continue
        # utime and stime of the process, and of those of its children that have ended
        total += sum(int(ticks) for ticks in fields.split()[11:15]) / TICKS
    return total


@dataclass(frozen=True, slots=True)
class Watch:
    """The machine at one moment.

    Attributes:
        at: By the monotonic clock.
        busy: CPU seconds of everybody since the machine began.
        ours: Of this process and all that it has started.
    """

    at: float
    busy: float
    ours: float

    def others_percent(self) -> float:
        """Return how much of all cores others have used since; that much the figures are off."""
        now = watch()
        theirs = (now.busy - self.busy) - (now.ours - self.ours)
        return max(0.0, 100 * theirs / ((now.at - self.at) * (os.cpu_count() or 1)))


def watch() -> Watch:
    """Look at the machine."""
    words = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()
    user, nice, system, _, _, irq, softirq, steal = (int(word) for word in words[1:9])
    busy = (user + nice + system + irq + softirq + steal) / TICKS
    return Watch(time.monotonic(), busy, cpu_of([os.getpid()]))


def memory_mib(pids: Sequence[int]) -> float:
    """Return the memory of processes and all that they have started; shared pages count once."""
    return sum(_proportional_kib(pid) for pid in family(pids)) / KIBIBYTES


def own_mib() -> float:
    """Return the memory of this process alone."""
    return _proportional_kib(os.getpid()) / KIBIBYTES


def _proportional_kib(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
