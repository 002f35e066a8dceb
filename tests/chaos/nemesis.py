"""The enemy: kills processes and disturbs connections, as the seed says; then heals everything."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.processes import Crew, Member
from tests.chaos.servers import Servers
from tests.proxy import Latency, Mode, TcpProxy

KILLS_A_SECOND = 0.97
STRIKES_A_SECOND = 0.5
BURSTS = (0.1, 0.2, 0.3, 0.4, 0.5, 1.0, 4.5)
"""Lengths of the pauses, in proportion: blows come in bursts, so that work is done in between."""

GLANCE_SECONDS = 0.02
FIND_SECONDS = 3.0
BACKEND_SHARE = 0.4
"""Of the kills of Postgres, those that take a single server process."""

Strike = Callable[[str, random.Random], Coroutine[None, None, None]]
"""Does something bad of this kind, with chance of its own."""

VICTIMS = {"worker": 70, "emitter": 5, "postgres": 15, "temporal": 10}
WEATHER = {
    "cut": 4,
    "latency": 3,
    "black hole": 2,
    "no replies": 3,
    "no ends": 2,
    "down": 2,
    "freeze": 4,
}


@dataclass
class Tally:
    """What was done to the system.

    Attributes:
        kills: By victim.
        weather: Everything else, by kind.
    """

    kills: Counter[str] = field(default_factory=Counter[str])
    weather: Counter[str] = field(default_factory=Counter[str])

    @property
    def workers(self) -> int:
        """Kills of our own processes: workers, and the emitter with what it had leased."""
        return self.kills["worker"] + self.kills["emitter"]

    def line(self) -> str:
        """Return the kills as part of a line."""
        return (
            f"{self.kills.total()} kills ({self.workers} workers, {self.kills['postgres']} "
            f"Postgres, {self.kills['temporal']} Temporal)"
        )


class Nemesis:
    """Draws what happens and when from the seed, does it and tells it.

    Two streams run side by side: kills, each at its time however long the victim before takes to
    come back, and weather.
    """

    def __init__(
        self, seed: int, crew: Crew, servers: Servers, *, tell: Callable[[str], None]
    ) -> None:
        self.crew = crew
        self.servers = servers
        self.tally = Tally()
        self._seed = seed
        self._tell = tell

    async def rage(self, *, seconds: float) -> None:
        """Disturb for so long, then heal."""
        async with asyncio.TaskGroup() as group:
            for strike, shares, rate in (
                (self._kill, VICTIMS, KILLS_A_SECOND),
                (self._disturb, WEATHER, STRIKES_A_SECOND),
            ):
                chance = random.Random(f"{strike.__name__} {self._seed}")  # noqa: S311 - no secret
                plan = drawn(chance, shares, count=math.ceil(seconds * rate), seconds=seconds)
                group.create_task(_carry_out(group, plan, strike, chance))
        await self.heal()

    async def heal(self) -> None:
        """Undo whatever is still wrong."""
        for proxy in self.servers.proxies.values():
            proxy.latency = Latency()
            await proxy.become("pass")
        for member in self.crew.members:
            if member.is_frozen:
                member.thaw()

    async def _kill(self, victim: str, chance: random.Random) -> None:
        away_seconds = chance.random() * 0.8
        takes_backend = chance.random() < BACKEND_SHARE
        match victim:
            case "postgres" if takes_backend:
                killed = await self.servers.postgres.kill_backend(chance)
            case "postgres":
                killed = await self.servers.postgres.kill(away_seconds=away_seconds)
            case "temporal":
                killed = await self.servers.temporal.kill(away_seconds=away_seconds)
            case _:
                killed = await self._kill_member(victim, chance)
        if killed:
            self.tally.kills[victim] += 1
            self._tell(f"killed {victim}")

    async def _kill_member(self, victim: str, chance: random.Random) -> bool:
        """Kill a process that has begun its work; wait for one if need be."""
        members = [self.crew.emitter] if victim == "emitter" else list(self.crew.workers)
        chance.shuffle(members)
        member = await _first(members, lambda member: member.is_ready)
        if member is None:
            member = await _first(members, lambda member: member.is_alive)
        if member is None:
            return False
        member.kill()
        return True

    async def _disturb(self, kind: str, chance: random.Random) -> None:
        self.tally.weather[kind] += 1
        self._tell(kind)
        match kind:
            case "cut":
                self._proxy(chance).cut()
            case "latency":
                await self._slow_down(chance)
            case "freeze":
                await self._freeze(chance)
            case "black hole" | "no replies" | "no ends" | "down" as mode:
                await self._change(mode, chance)
            case _:
                raise ValueError(kind)

    async def _slow_down(self, chance: random.Random) -> None:
        proxy = self._proxy(chance)
        proxy.latency = Latency(chance.random() * 0.03, chance.random() * 0.06)
        await asyncio.sleep(0.5 + chance.random() * 2)
        proxy.latency = Latency()

    async def _change(self, mode: Mode, chance: random.Random) -> None:
        """Change what a proxy does for a while; half of the time what it held back is lost."""
        proxy = self._proxy(chance)
        is_lost = chance.random() < 0.5
        seconds = 0.2 + chance.random() * 2
        if proxy.mode != "pass":
            return
        await proxy.become(mode)
        await asyncio.sleep(seconds)
        if is_lost:
            proxy.cut()
        await proxy.become("pass")

    async def _freeze(self, chance: random.Random) -> None:
        member = chance.choice(self.crew.workers)
        seconds = 0.3 + chance.random() * 4
        if not member.is_alive or member.is_frozen:
            return
        member.freeze()
        await asyncio.sleep(seconds)
        if member.is_frozen:
            member.thaw()

    def _proxy(self, chance: random.Random) -> TcpProxy:
        return chance.choice(list(self.servers.proxies.values()))


def drawn(
    chance: random.Random, shares: Mapping[str, int], *, count: int, seconds: float
) -> list[tuple[float, str]]:
    """Draw what happens after which pause: so many blows in all, in these proportions."""
    deck = [kind for kind, share in shares.items() for _ in range(share)]
    kinds = [deck[(2 * n + 1) * len(deck) // (2 * count)] for n in range(count)]
    chance.shuffle(kinds)
    pauses = [chance.choice(BURSTS) * (0.5 + chance.random()) for _ in kinds]
    scale = seconds / sum(pauses)
    return [(pause * scale, kind) for pause, kind in zip(pauses, kinds, strict=True)]


async def _carry_out(
    group: asyncio.TaskGroup,
    plan: Sequence[tuple[float, str]],
    strike: Strike,
    chance: random.Random,
) -> None:
    """Strike at the moments of the plan, without waiting for the strike before."""
    loop = asyncio.get_running_loop()
    at = loop.time()
    for pause, kind in plan:
        at += pause
        await asyncio.sleep(at - loop.time())
        own = random.Random(chance.random())  # noqa: S311 - no secret
        group.create_task(strike(kind, own))


async def _first(members: list[Member], fits: Callable[[Member], bool]) -> Member | None:
    """Return the first member that fits, as soon as there is one; None when it takes too long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + FIND_SECONDS
    while True:
        for member in members:
            if fits(member):
                return member
        if loop.time() > deadline:
            return None
        await asyncio.sleep(GLANCE_SECONDS)
