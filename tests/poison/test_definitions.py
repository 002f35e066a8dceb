"""A malformed definition is refused with all its mistakes; nothing is stored and nothing runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import asyncpg
import pytest
from typing_extensions import override

from pulse_temporal import DefinitionError
from pulse_temporal.testing import action, condition, delay, parallel
from tests.harness import TENANT, PulseTest
from tests.poison.conftest import stored
from tests.poison.corpus import BAD_NAMES, REFUSED

GOOD: Mapping[str, object] = {
    "tenantId": TENANT,
    "name": "Good",
    "triggerType": "poison",
    "steps": [action("act")],
}
RETRY = {"maxAttempts": 2, "backoffMs": 100}
NAMES = ("tenantId", "name", "triggerType", "environmentFilter", "resourceTypeFilter")
OPTIONAL_NAMES = ("cronExpression", "timezone")


class Wild:
    """A key that cannot be told."""

    @override
    def __repr__(self) -> str:
        raise RuntimeError("no text")


def tower(blocks: int) -> list[object]:
    """Return parallel steps inside each other."""
    steps: list[object] = [action("act")]
    for level in range(blocks):
        steps = [
            {"type": "parallel", "name": f"p{level}", "branches": [steps, [delay(f"d{level}", 1)]]}
        ]
    return steps


def endless() -> object:
    """Return steps that contain themselves."""
    steps: list[object] = []
    steps.append({"type": "parallel", "name": "p", "branches": [steps, steps]})
    return steps


def steps(*given: object) -> dict[str, object]:
    return {"steps": [*given]}


def retries(**policy: object) -> dict[str, object]:
    return steps(action("act", retryPolicy={**RETRY, **policy}))


def cron(expression: object, **more: object) -> dict[str, object]:
    return {"cronExpression": expression, **more}


MALFORMED: Mapping[str, tuple[Callable[[], object], str]] = {
    "no branch": (lambda: steps(parallel("p")), "/steps/0/branches: must have at least 2"),
    "one branch": (lambda: steps(parallel("p", ["act"])), "/steps/0/branches: must have at least"),
    "empty branch": (lambda: steps(parallel("p", ["act"], [])), "/steps/0/branches/1: must have"),
    "101 branches": (
        lambda: steps(parallel("p", *([delay(f"d{n}", 1)] for n in range(101)))),
        "/steps/0/branches: has 101 branches; at most 100 are allowed",
    ),
    "17 deep": (lambda: {"steps": tower(17)}, "at most 16 may nest"),
    "1 000 deep": (lambda: {"steps": tower(1_000)}, "at most 16 may nest"),
    "endless": (lambda: {"steps": endless()}, "at most 1000 are allowed"),
    "1 001 steps": (
        lambda: steps(*(delay(f"d{n}", 1) for n in range(1_001))),
        "/steps: has more than 1000 steps",
    ),
    "10 000 steps": (
        lambda: steps(*(delay(f"d{n}", 1) for n in range(10_000))),
        "/steps: has more than 1000 steps",
    ),
    "the same name": (lambda: steps(action("act"), action("act")), "/steps/1/name: is the name"),
    "unknown type": (lambda: steps({"type": "acton", "name": "x"}), 'Did you mean "action"?'),
    "type as object": (lambda: steps({"type": {}, "name": "x"}), "/steps/0/type: must be"),
    "steps as object": (lambda: {"steps": {"0": action("act")}}, "/steps: must be a list"),
    "steps as text": (lambda: {"steps": "act"}, "/steps: must be a list, not text"),
    "step as null": (lambda: steps(None), "/steps/0: must be an object"),
    "on false 0": (lambda: steps(condition("ask", onFalse=0)), "/steps/0/onFalse: must be"),
    "on false -1": (lambda: steps(condition("ask", onFalse=-1)), "/steps/0/onFalse: must be"),
    "on false true": (lambda: steps(condition("ask", onFalse=True)), "/steps/0/onFalse: must be"),
    "on false 2**63": (
        lambda: steps(condition("ask", onFalse=2**63)),
        "/steps/0/onFalse: must be at most 9223372036854775807",
    ),
    "on false 5000 digits": (
        lambda: steps(condition("ask", onFalse=10**5_000)),
        "/steps/0/onFalse: must be at most 9223372036854775807",
    ),
    "delay 0": (lambda: steps(delay("d", 0)), "/steps/0/delayMs: must be more than 0"),
    "delay -1": (lambda: steps(delay("d", -1)), "/steps/0/delayMs: must be more than 0"),
    "delay 31 days": (lambda: steps(delay("d", 31 * 86_400_000)), "must be at most 2592000000"),
    "delay 2**63": (lambda: steps(delay("d", 2**63)), "must be at most 2592000000 (30 days)"),
    "delay 5000 digits": (lambda: steps(delay("d", 10**5_000)), "must be at most 2592000000"),
    "delay NaN": (
        lambda: steps({**delay("d", 1), "delayMs": float("nan")}),
        "/steps/0/delayMs: must be a whole number",
    ),
    "delay true": (lambda: steps({**delay("d", 1), "delayMs": True}), "must be a whole number"),
    "no attempts": (lambda: retries(maxAttempts=0), "maxAttempts: must be at least 1"),
    "11 attempts": (lambda: retries(maxAttempts=11), "maxAttempts: must be at most 10"),
    "backoff 99 ms": (lambda: retries(backoffMs=99), "backoffMs: must be at least 100"),
    "backoff infinity": (lambda: retries(backoffMs=float("inf")), "must be a whole number"),
    "coefficient NaN": (
        lambda: retries(backoffCoefficient=float("nan")),
        "/steps/0/retryPolicy/backoffCoefficient: must be",
    ),
    "retry as list": (lambda: steps(action("act", retryPolicy=[])), "/retryPolicy: must be"),
    "timeout 0": (lambda: steps(action("act", timeoutMs=0)), "timeoutMs: must be at least 1"),
    "enabled by a word": (lambda: {"isEnabled": "yes"}, "/isEnabled: must be true or false"),
    "description with NUL": (lambda: {"description": "a\0"}, "/description: must not contain NUL"),
    "long description": (lambda: {"description": "x" * 10_001}, "at most 10000 characters"),
    "number as key": (lambda: {1: 1}, "/1: is not a field here"),
    "huge key": (lambda: {10**5_000: 1}, "/<int>: is not a field here"),
    "wild key": (lambda: {Wild(): 1}, "/<Wild>: is not a field here"),
    "surrogate as key": (
        lambda: {"\ud800": 1},
        "must not contain control characters or lone surrogates",
    ),
    "10 000 unknown fields": (lambda: {f"x{n}": 1 for n in range(10_000)}, "… and more"),
    "6 fields of cron": (lambda: cron("* * * * * *"), "/cronExpression: "),
    "every millisecond": (lambda: cron("@every 1ms"), "/cronExpression: "),
    "31 February": (lambda: cron("0 0 31 2 *"), "/cronExpression: never fires"),
    "cron in a zone": (lambda: cron("CRON_TZ=Asia/Tokyo * * * * *"), "/cronExpression: "),
    "sixth Friday": (lambda: cron("* * * * 5#6"), "/cronExpression: "),
    "cron comment": (lambda: cron("* * * * 5 # x"), "/cronExpression: "),
    "cron of zero width": (lambda: cron("* * * * *\u200b"), "/cronExpression: "),
    "cron of odd blanks": (lambda: cron("*\u2003* * *\u2028*\u3000*\xa0*"), "/cronExpression: "),
    "cron of odd digits": (lambda: cron("٣ * * * *"), "/cronExpression: "),
    "cron as a bomb": (lambda: cron(",".join(["*"] * 99) + " * * * *"), "/cronExpression: "),
    "zone of zero width": (lambda: {"timezone": "UTC\u200b"}, "is not an IANA time zone"),
    "zone as path": (lambda: {"timezone": "../../etc/passwd"}, "is not an IANA time zone"),
}
"""Changes to a good definition, and what is said about them."""


@pytest.fixture(scope="module", autouse=True)
async def _registered(poisoned: PulseTest) -> None:
    poisoned.signal("poison")
    poisoned.action("act")
    poisoned.condition("ask")


async def refusal(pulse: PulseTest, connection: asyncpg.Connection, change: object) -> str:
    """Return what is said about a change to a good definition, which leaves no row."""
    assert isinstance(change, dict)
    before = await stored(connection)
    with pytest.raises(DefinitionError) as caught:
        await pulse.engine.create_workflow({**GOOD, **change})  # pyright: ignore[reportUnknownArgumentType] - hostile
    problems = caught.value.problems
    assert 1 <= len(problems) <= 101
    assert len(str(caught.value)) < 200_000
    assert await stored(connection) == before
    return str(caught.value)


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_definition_is_refused(
    poisoned: PulseTest, database_of: asyncpg.Connection, name: str
) -> None:
    make, says = MALFORMED[name]

    assert says in await refusal(poisoned, database_of, make())


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_change_is_refused_and_the_definition_stays(
    poisoned: PulseTest, name: str
) -> None:
    make, says = MALFORMED[name]
    good = await poisoned.engine.create_workflow(GOOD)

    with pytest.raises(DefinitionError) as caught:
        await poisoned.engine.update_workflow(good.id, make())  # pyright: ignore[reportArgumentType] - hostile

    assert says in str(caught.value)
    assert await poisoned.engine.get_workflow(good.id) == good


@pytest.mark.parametrize("field", [*NAMES, *OPTIONAL_NAMES])
@pytest.mark.parametrize("name", BAD_NAMES)
async def test_a_bad_name_is_refused_in_every_field(
    poisoned: PulseTest, database_of: asyncpg.Connection, field: str, name: str
) -> None:
    assert f"/{field}: must " in await refusal(poisoned, database_of, {field: BAD_NAMES[name]})


@pytest.mark.parametrize("field", ["name", "uses"])
@pytest.mark.parametrize("name", BAD_NAMES)
async def test_a_bad_name_of_a_step_is_refused_in_a_branch_too(
    poisoned: PulseTest, database_of: asyncpg.Connection, field: str, name: str
) -> None:
    bad = {**action("act"), field: BAD_NAMES[name]}

    said = await refusal(poisoned, database_of, steps(parallel("p", [delay("d", 1)], [bad])))

    assert f"/steps/0/branches/1/0/{field}: must " in said


@pytest.mark.parametrize("name", REFUSED)
async def test_a_config_that_cannot_be_carried_is_refused(
    poisoned: PulseTest, database_of: asyncpg.Connection, name: str
) -> None:
    make, says = REFUSED[name]
    poison = {"v": make()}

    said = await refusal(poisoned, database_of, {"config": poison})
    said_of_step = await refusal(poisoned, database_of, steps(action("act", config=poison)))

    reason = "deeper than" if "deeper" in says else says.rpartition("/v: ")[2]
    assert reason in said or "bytes as JSON in UTF-8" in said
    for text, place in ((said, "/config"), (said_of_step, "/steps/0/config")):
        assert place in text or "/: has" in text


async def test_skipping_more_than_there_is_skips_the_rest(poisoned: PulseTest) -> None:
    """The largest number that is accepted runs, too."""
    poisoned.condition("never", returns=False)
    late = poisoned.action("late")
    await poisoned.define(
        "skips", condition("never", onFalse=2**63 - 1), "late", {"type": "delay", **delay("d", 1)}
    )

    run = await poisoned.emit_and_wait("skips")

    assert (run.status, late.call_count) == ("completed", 0)
    assert await poisoned.statuses(run.id) == {"0": "completed", "1": "skipped", "2": "skipped"}


async def test_the_largest_definition_is_stored_and_runs(poisoned: PulseTest) -> None:
    """A thousand steps, sixteen deep: every bound is reached and none is passed."""
    poisoned.condition("stop", returns=False)
    deep = tower(16)
    filler = [delay(f"x{n}", 1) for n in range(1_000 - 1 - 16 * 2 - 1)]
    await poisoned.define("largest", *deep, condition("stop"), *filler)  # pyright: ignore[reportArgumentType] - steps

    run = await poisoned.emit_and_wait("largest")

    assert run.status == "completed"
    assert len(await poisoned.steps(run.id)) == 1_000
