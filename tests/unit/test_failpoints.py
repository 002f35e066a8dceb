"""What arms a failpoint, and what an armed one does that does not end the process."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pulse_temporal import ConfigurationError, create_engine
from pulse_temporal.errors import FailpointError
from pulse_temporal.failpoints import (
    FAILPOINTS,
    VARIABLE,
    Armed,
    arm,
    parse,
    reach,
    warn_of_failpoints,
)

NO_POSTGRES = "postgresql://localhost:1/none"


@pytest.fixture(autouse=True)
def disarmed() -> Generator[None]:
    """Leave nothing armed behind."""
    yield
    arm({})


@pytest.mark.parametrize(
    ("text", "armed"),
    [
        ("kill", Armed("kill")),
        ("exit", Armed("exit")),
        ("raise:once", Armed("raise", only=1)),
        ("raise@3", Armed("raise", only=3)),
        ("sleep:2", Armed("sleep", seconds=2.0)),
        ("sleep:0.25:once", Armed("sleep", seconds=0.25, only=1)),
        ("sleep:10@12", Armed("sleep", seconds=10.0, only=12)),
    ],
)
def test_an_action_is_read(text: str, armed: Armed) -> None:
    assert parse(f"emit.after_commit={text}") == {"emit.after_commit": armed}


def test_several_are_separated_by_commas() -> None:
    text = "step.after_handler=kill, dispatch.before_done = raise:once ,"
    assert parse(text) == {
        "step.after_handler": Armed("kill"),
        "dispatch.before_done": Armed("raise", only=1),
    }


def test_empty_text_arms_nothing() -> None:
    assert parse("") == parse(" , ") == {}


@pytest.mark.parametrize(
    "action",
    ["", "die", "kill:", "kill:2", "raise:twice", "raise@0", "sleep", "sleep:", "sleep:-1",
     "sleep:inf", "once", "kill@1:once", "KILL"],
)  # fmt: skip
def test_what_is_no_action_is_refused(action: str) -> None:
    with pytest.raises(ConfigurationError, match="kill, exit, raise or sleep:SECONDS"):
        parse(f"emit.after_commit={action}")


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(
            "emit.aftr_commit=kill,step.after_claim=die,cron.after_emit=kill,cron.after_emit=exit"
        )

    message = str(caught.value)
    assert "there is no 'emit.aftr_commit'" in message
    assert "step.after_claim has no action 'die'" in message
    assert "cron.after_emit is armed twice" in message
    assert all(failpoint in message for failpoint in FAILPOINTS)


def test_an_engine_refuses_a_wrong_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "emit.after_commit=panic")
    with pytest.raises(ConfigurationError, match=f"{VARIABLE} is wrong: emit.after_commit has no"):
        create_engine(NO_POSTGRES)


async def test_the_variable_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrivals are counted for the process, however many engines it makes."""
    monkeypatch.setenv(VARIABLE, "emit.after_commit=raise:once")
    create_engine(NO_POSTGRES)
    with pytest.raises(FailpointError):
        await reach("emit.after_commit")
    create_engine(NO_POSTGRES)
    await reach("emit.after_commit")


async def test_one_arrival_is_hit_and_the_others_pass() -> None:
    arm(parse("begin.after_write=raise@2"))
    await reach("begin.after_write")
    with pytest.raises(FailpointError, match=r"begin\.after_write"):
        await reach("begin.after_write")
    await reach("begin.after_write")


async def test_without_a_number_every_arrival_is_hit() -> None:
    arm(parse("begin.after_write=raise"))
    for _ in range(3):
        with pytest.raises(FailpointError):
            await reach("begin.after_write")


async def test_what_is_not_armed_passes() -> None:
    arm(parse("begin.after_write=raise"))
    for failpoint in FAILPOINTS:
        if failpoint != "begin.after_write":
            await reach(failpoint)


def test_a_process_that_is_made_to_fail_says_so(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_failpoints()
    assert not caplog.messages
    arm(parse("emit.after_commit=kill"))
    warn_of_failpoints()
    (text,) = caplog.messages
    assert "emit.after_commit=kill" in text
    assert f"Unset {VARIABLE}" in text
