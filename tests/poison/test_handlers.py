"""Whatever a handler returns, raises, logs or emits: the run ends, and the worker lives on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from pulse_temporal import ActionResult, WorkflowContext
from pulse_temporal.config import KIBIBYTE
from pulse_temporal.testing import action, condition
from tests.harness import SOURCE, PulseTest
from tests.poison.corpus import CARRIED, CONVERTED, ERRORS, REFUSED, Odd, nested

TWICE = {"maxAttempts": 2, "backoffMs": 100}
DELIVERIES = {"local": 1_500, "queued": 60_000, "thread": 60_000}
"""Ways to call a handler, and the time it is given; the last one is not async."""


@dataclass
class Poisoned:
    """A step whose handler misbehaves, and what its run should tell afterwards."""

    act: Callable[[WorkflowContext], object]
    status: str = "failed"
    says: str = ""
    calls: int | None = 1
    result: object = None
    is_condition: bool = False


def raising(make: Callable[[], BaseException]) -> Callable[[WorkflowContext], object]:
    def act(_: WorkflowContext) -> object:
        raise make()

    return act


def returning(make: Callable[[], object]) -> Callable[[WorkflowContext], object]:
    return lambda _: make()


def odd_result(**fields: object) -> ActionResult:
    """Make a result as code does that checks nothing."""
    return ActionResult.model_construct(None, **fields)


def cases() -> dict[str, Poisoned]:
    """Return every case of this file by name."""
    found: dict[str, Poisoned] = {}
    for name, value in CARRIED.items():
        found[f"returns {name}"] = Poisoned(
            returning(lambda value=value: {"v": value}), "completed", result={"v": value}
        )
    for name, (value, back) in CONVERTED.items():
        found[f"returns {name}"] = Poisoned(
            returning(lambda value=value: {"v": value}), "completed", result={"v": back}
        )
    for name, (make, says) in REFUSED.items():
        says_where = says.replace("/v", "result/v", 1) if says.startswith("/v") else says
        wrapped = returning(lambda make=make: {"v": make()})
        result = returning(lambda make=make: ActionResult(data={"v": make()}))
        found[f"returns {name}"] = Poisoned(wrapped, says=f"{says_where}")
        found[f"reports {name}"] = Poisoned(result, says=f"{says_where}")
    for name, value in {
        "text": "done",
        "list": [1],
        "true": True,
        "bytes": b"",
        "set": {1},
    }.items():
        found[f"returns only {name}"] = Poisoned(
            returning(lambda value=value: value),
            says="must return a mapping, an ActionResult or None, not a value of type",
        )
    for name, answer in {"None": None, "1": 1, "text": "true", "object": {"value": True}}.items():
        found[f"answers {name}"] = Poisoned(
            returning(lambda answer=answer: answer),
            says="must return True or False",
            is_condition=True,
        )
    for name, (make, says) in ERRORS.items():
        found[f"raises {name}"] = Poisoned(raising(make), says=says, calls=None)
    found["reports an unchecked failure"] = Poisoned(
        returning(lambda: odd_result(success=False, error=7, retryable="yes", retry_after="soon")),
        says="ActionFailedError: 7 (its retry_after is no timedelta",
        calls=2,
    )
    found["reports unchecked data"] = Poisoned(
        returning(lambda: odd_result(success=True, data=[1])), says="not a value of type 'list'"
    )
    return found


CASES = cases()
KEYS = [
    (name, delivery)
    for name in CASES
    for delivery in DELIVERIES
    if delivery != "thread" or name.startswith("raises")
]


@pytest.fixture(scope="module")
async def calls() -> dict[tuple[str, str], int]:
    """Count the calls of every case."""
    return {}


@pytest.fixture(scope="module")
async def runs(
    poisoned: PulseTest, calls: dict[tuple[str, str], int]
) -> Mapping[tuple[str, str], str]:
    """Start all cases at once, so that each also runs beside all the others."""
    started: dict[tuple[str, str], str] = {}
    for key in KEYS:
        name, delivery = key
        case = CASES[name]
        calls[key] = 0
        title = f"{name} {delivery}"
        register(poisoned, title, handler(case, key, calls), is_condition=case.is_condition)
        step = (condition if case.is_condition else action)(
            title, timeoutMs=DELIVERIES[delivery], retryPolicy=TWICE
        )
        await poisoned.define(title, step)
        (started[key],) = (await poisoned.emit(title)).run_ids
    return started


def register(pulse: PulseTest, name: str, handler: object, *, is_condition: bool) -> None:
    register = pulse.engine.register_condition if is_condition else pulse.engine.register_action
    register(name, handler)  # pyright: ignore[reportArgumentType] - handlers may do what they should not


def handler(
    case: Poisoned, key: tuple[str, str], calls: dict[tuple[str, str], int]
) -> Callable[[WorkflowContext], object]:
    def in_thread(ctx: WorkflowContext) -> object:
        calls[key] += 1
        return case.act(ctx)

    async def in_loop(ctx: WorkflowContext) -> object:
        calls[key] += 1
        return case.act(ctx)

    return in_thread if key[1] == "thread" else in_loop


@pytest.mark.parametrize(("name", "delivery"), KEYS)
async def test_the_run_ends_and_tells_why(
    poisoned: PulseTest,
    runs: Mapping[tuple[str, str], str],
    calls: Mapping[tuple[str, str], int],
    name: str,
    delivery: str,
) -> None:
    """A result that cannot be stored fails the step at once: the handler has done its work."""
    case = CASES[name]

    run = await poisoned.engine.wait_for_run(runs[name, delivery], timeout=60)

    step = (await poisoned.steps(run.id))["0"]
    assert (run.status, step.status) == (case.status, case.status)
    assert step.result == case.result
    assert case.says in (step.error_message or "")
    assert len((step.error_message or "").encode()) <= 8 * KIBIBYTE
    assert case.calls in (None, calls[name, delivery])
    assert await poisoned.timeline(run.id)


async def test_log_lines_are_repaired_and_never_refused(poisoned: PulseTest) -> None:
    """Refusing them would lose the line that explains what happened."""
    given: list[tuple[object, object, object]] = [
        ("a\0b", {"n": float("nan"), "o": Odd(), "deep": {"x": {1: "\ud800"}}}, "info"),
        ("x" * 2**20, {"x": "y" * 2**20}, "info"),
        ("\x1b[31mred\r\n", nested(100), "error"),
        (7, [1, 2], "warning"),
        (None, "text", "CRITICAL"),
        (b"\xff", {1}, "debug"),
        (ValueError("why"), {"n": 10**5_000, "f": 1e22}, None),
        ("level", None, "a\0"),
    ]

    @poisoned.engine.action("chatty")
    async def act(ctx: WorkflowContext) -> None:
        for message, data, level in given:
            ctx.log(message, data, level)  # pyright: ignore[reportArgumentType] - mistakes of callers without types

    await poisoned.define("chatty", "chatty")

    run = await poisoned.emit_and_wait("chatty")

    assert run.status == "completed"
    lines = await poisoned.engine.get_run_logs(run.id)
    assert [line.level for line in lines] == [
        *("info", "info", "error", "warn", "error", "info", "info", "info")
    ]
    first, second, *_ = lines
    assert first.message == "a\ufffdb"
    assert first.data == {"n": "NaN", "o": "Odd(n=1)", "deep": {"x": {"1": "\ufffd"}}}
    assert len(second.message.encode()) <= 8 * KIBIBYTE
    assert second.data is not None
    assert second.data["truncated"] is True
    assert [(line.message, line.data) for line in lines[3:5]] == [
        ("7", {"value": [1, 2]}),
        ("None", {"value": "text"}),
    ]
    assert lines[6].message == "why"
    assert lines[6].data is not None
    assert lines[6].data["f"] == 1e22
    assert len(await poisoned.timeline(run.id)) == len(lines) + 4


async def test_a_flood_of_log_lines_is_cut_and_counted(poisoned: PulseTest) -> None:
    @poisoned.engine.action("flood")
    async def act(ctx: WorkflowContext) -> None:
        for number in range(1_500):
            ctx.log(f"line {number}")

    await poisoned.define("flood", "flood")

    run = await poisoned.emit_and_wait("flood")

    lines = await poisoned.engine.get_run_logs(run.id)
    assert len(lines) == 1_001
    assert lines[-1].message == "500 more lines were dropped; the limit is 1000."


@pytest.mark.parametrize("transactional", [False, True], ids=["plain", "transactional"])
async def test_a_refused_emit_of_a_handler_is_an_error_that_it_can_catch(
    poisoned: PulseTest, transactional: bool
) -> None:
    """Its transaction goes on, and what it emits afterwards is stored."""
    title = f"emits {transactional}"
    refused: list[str] = []
    poisoned.signal("heard")
    bad: list[object] = [None, 7, {}, {"type": "heard"}, {"type": "a\0", "source": SOURCE}]
    payloads = [{"v": make()} for make, _ in REFUSED.values()]
    bad += [{"type": "heard", "source": SOURCE, "payload": payload} for payload in payloads]

    @poisoned.engine.action(title, transactional=transactional)
    async def act(ctx: WorkflowContext) -> dict[str, object]:
        for signal in bad:
            try:
                await ctx.emit(signal)  # pyright: ignore[reportArgumentType] - no signals
            except Exception as error:  # noqa: BLE001 - the classes are what is tested
                refused.append(type(error).__name__)
        kept = await ctx.emit({"type": "heard", "source": SOURCE})
        return {"id": kept.id}

    await poisoned.define(title, title)

    run = await poisoned.emit_and_wait(title)

    assert run.status == "completed"
    assert refused == ["SignalError"] * 5 + ["JsonValueError"] * len(payloads)
    (result,) = run.context.values()
    assert isinstance(result, dict)
    heard = await poisoned.engine.get_trigger(str(result["id"]))
    assert heard is not None
    assert heard.caused_by_run_id == run.id


@pytest.mark.parametrize("type_", ["t" * 200, "🎉" * 200], ids=["ascii", "emoji"])
async def test_a_signal_of_the_longest_type_can_be_caused(poisoned: PulseTest, type_: str) -> None:
    """Pulse's own key for it is longer than a key that an application may choose."""
    title = f"causes {type_[:1]}"
    heard = poisoned.action(f"hears {type_[:1]}")
    await poisoned.define(type_, f"hears {type_[:1]}", name="Longest")

    @poisoned.engine.action(title)
    async def act(ctx: WorkflowContext) -> dict[str, object]:
        caused = await ctx.emit({"type": type_, "source": SOURCE})
        return {"id": caused.id, "run": caused.run_ids[0]}

    await poisoned.define(title, title)

    run = await poisoned.emit_and_wait(title)

    result = run.context[title]
    assert isinstance(result, dict)
    assert (await poisoned.engine.wait_for_run(str(result["run"]))).status == "completed"
    assert heard.calls[0].trigger.id == result["id"]
    assert await poisoned.engine.get_trigger(str(result["id"])) is not None


async def test_a_number_beyond_64_bits_can_be_handed_on(poisoned: PulseTest) -> None:
    """Postgres gives a large float back in digits; to handlers it is a float still."""
    seen: list[object] = []

    @poisoned.engine.action("hand on")
    async def act(ctx: WorkflowContext) -> Mapping[str, object]:
        seen.append(ctx.trigger.payload["v"])
        seen.append(ctx.config["v"])
        await ctx.emit({"type": "handed on", "source": SOURCE, "payload": ctx.trigger.payload})
        return ctx.trigger.payload

    poisoned.signal("handed on")
    await poisoned.define("large", "hand on", config={"v": 1e300})

    run = await poisoned.emit_and_wait("large", {"v": 1e22})

    assert (run.status, seen) == ("completed", [1e22, 1e300])
    assert all(isinstance(number, float) for number in seen)
    assert run.context == {"hand on": {"v": 1e22}}


REASONS: Mapping[str, object] = {
    "NUL and surrogate": "a\0b\ud800",
    "1 MB": "x" * 10**6,
    "ANSI": "\x1b[31m\r\n",
    "number": 7,
    "bytes": b"x",
}


@pytest.mark.parametrize("name", REASONS)
async def test_any_reason_cancels(poisoned: PulseTest, name: str) -> None:
    title = f"canceled for {name}"
    await poisoned.define(title, {"type": "delay", "name": "wait", "delayMs": 60_000})
    (run_id,) = (await poisoned.emit(title)).run_ids

    run = await poisoned.engine.cancel_run(run_id, REASONS[name])  # pyright: ignore[reportArgumentType] - mistakes of callers without types

    assert run.status == "canceled"
    assert run.cancel_reason
    assert len(run.cancel_reason.encode()) <= KIBIBYTE
