"""Settings from the environment: what is read, and what is said of a wrong one."""

import inspect
import logging
import traceback
from datetime import timedelta
from typing import get_type_hints

import pytest

from pulse_temporal import ConfigurationError, Limits, create_engine, engine_from_environment
from pulse_temporal.config import EngineOptions, EngineSettings, GivenSettings
from pulse_temporal.types import Duration

CANARY = "hunter2-canary"


@pytest.fixture(autouse=True)
def _database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://pulse@localhost/pulse")


def options(monkeypatch: pytest.MonkeyPatch, **settings: str) -> EngineOptions:
    """Return the options of an engine that is made with these variables."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return engine_from_environment().options


def refusal(monkeypatch: pytest.MonkeyPatch, **settings: str) -> str:
    """Return what is said of these variables."""
    with pytest.raises(ConfigurationError) as raised:
        options(monkeypatch, **settings)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("30s", 30),
        ("30 s", 30),
        ("1.5", 1.5),
        ("250ms", 0.25),
        ("5m", 300),
        ("5min", 300),
        ("2h", 7200),
        ("1d", 86_400),
        ("PT30S", 30),
        ("P1DT1H", 90_000),
        ("00:00:30", 30),
    ],
)
def test_a_length_of_time_is_written_as_people_write_it(
    text: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = options(monkeypatch, PULSE_SHUTDOWN_GRACE=text, PULSE_LIMITS__DELAY=text)
    assert found.shutdown_grace == timedelta(seconds=seconds)
    assert found.limits.delay == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["soon", "30x", "s", "1e400", "9" * 40, "NaN", "-", "30 s 5"])
def test_what_is_no_length_of_time_is_refused_with_what_would_be_accepted(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refusal(monkeypatch, PULSE_SHUTDOWN_GRACE=text)
    assert "PULSE_SHUTDOWN_GRACE" in said
    assert "30s" in said
    assert "PT30S" in said


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PULSE_CONCURENCY", "PULSE_CONCURRENCY"),
        ("PULSE_QUEUE_PREFIXX", "PULSE_QUEUE_PREFIX"),
        ("PULSE_LIMIT__STEPS", "PULSE_LIMITS__STEPS"),
        ("PULSE_LIMITS_STEPS", "PULSE_LIMITS__STEPS"),
        ("PULSE_LIMITS__STEP", "PULSE_LIMITS__STEPS"),
        ("PULSE_PAYLOAD_BYTES", "PULSE_LIMITS__PAYLOAD_BYTES"),
        ("pulse_concurency", "PULSE_CONCURRENCY"),
    ],
)
def test_a_mistyped_variable_is_named_with_the_one_that_is_meant(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refusal(monkeypatch, **{name: "5"})
    assert name.upper() in said
    assert f'"{meant}"' in said


def test_unknown_pulse_variables_are_ignored_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        options(monkeypatch, PULSE_COOKIE="x", PULSE_APP="shop:register")
    assert "PULSE_COOKIE" in caplog.text
    assert "PULSE_APP" not in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PULSE_LIMITS__STEPS", "none"),
        ("PULSE_LIMITS__STEPS", "0"),
        ("PULSE_LIMITS__DELAY", "0"),
        ("PULSE_CONCURRENCY", "many"),
        ("PULSE_STATEMENT_CACHE", "perhaps"),
        ("PULSE_LIMITS", "{steps"),
        ("PULSE_LIMITS", '{"stepps": 5}'),
    ],
)
def test_a_wrong_value_is_said_of_the_variable_in_full(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert name in refusal(monkeypatch, **{name: value})


def test_all_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(
        monkeypatch, PULSE_CONCURRENCY="0", PULSE_LIMITS__STEPS="0", PULSE_QUEUE_PREFIXX="a"
    )
    assert "PULSE_CONCURRENCY" in said
    assert "PULSE_LIMITS__STEPS" in said
    assert "PULSE_QUEUE_PREFIXX" in said


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    found = options(monkeypatch, PULSE_CONCURRENCY="", PULSE_LIMITS__STEPS="")
    assert (found.concurrency, found.limits.steps) == (100, 1_000)


def test_a_missing_database_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    assert "DATABASE_URL is not set" in refusal(monkeypatch)


def test_a_wrong_value_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_CONCURRENCY", CANARY)
    monkeypatch.setenv("PULSE_LIMITS", f'{{"steps": "{CANARY}"')
    with pytest.raises(ConfigurationError) as raised:
        engine_from_environment()
    assert CANARY not in "".join(traceback.format_exception(raised.value))


def test_options_by_name_are_as_forgiving_and_as_clear() -> None:
    dsn = "postgresql://pulse@localhost/pulse"
    given: dict[str, object] = {"shutdown_grace": "5m", "concurency": 5, "limits": {"step": 5}}
    with pytest.raises(ConfigurationError) as raised:
        create_engine(dsn, **given)  # pyright: ignore[reportArgumentType] - what a typo looks like
    said = str(raised.value)
    assert 'concurency: is no option. Did you mean "concurrency"?' in said
    assert 'limits.step: is no option. Did you mean "limits.steps"?' in said
    engine = create_engine(dsn, shutdown_grace=timedelta(minutes=5), limits=Limits(steps=5))
    assert engine.options.shutdown_grace == timedelta(minutes=5)


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("CONCURRENCY", "7"), ("QUEUE_PREFIX", "env"), ("LIMITS__STEPS", "5")):
        monkeypatch.setenv(f"PULSE_{name}", value)
    found = engine_from_environment(
        queue_prefix="given", shutdown_grace=timedelta(seconds=3), limits=Limits(depth=2)
    ).options
    assert (found.concurrency, found.queue_prefix) == (7, "given")
    assert found.shutdown_grace == timedelta(seconds=3)
    assert (found.limits.depth, found.limits.steps) == (2, 1_000)


def test_a_variable_that_is_passed_over_may_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_CONCURRENCY", "many")
    assert engine_from_environment(concurrency=3).options.concurrency == 3


def test_a_given_database_needs_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("PULSE_CONCURRENCY", "7")
    engine = engine_from_environment(db="postgresql://pulse@localhost/pulse")
    assert engine.options.concurrency == 7


def test_a_given_option_that_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_CONCURRENCY", "7")
    with pytest.raises(
        ConfigurationError, match=r'concurency: is no option\. Did you mean "concur'
    ):
        engine_from_environment(concurency=3)  # pyright: ignore[reportCallIssue] - what a typo looks like
    with pytest.raises(ConfigurationError, match="concurrency: "):
        engine_from_environment(concurrency=0)


def test_every_option_of_create_engine_is_one_of_engine_from_environment() -> None:
    both = [
        inspect.signature(each).parameters for each in (create_engine, engine_from_environment)
    ]
    made, read = ({*parameters} | set(get_type_hints(GivenSettings)) for parameters in both)
    assert made == read
    assert set(EngineOptions.model_fields) <= read


def test_the_types_of_the_settings_are_those_of_the_options() -> None:
    """The bounds are those of the options alone; a length may be given as seconds."""
    options = get_type_hints(EngineOptions)
    given = {name: options[name] for name in EngineOptions.model_fields}
    lengths = {name: Duration for name, kind in given.items() if kind is timedelta}
    assert len(lengths) > 10
    assert get_type_hints(GivenSettings) == given | lengths


def test_the_defaults_of_create_engine_are_those_of_the_options() -> None:
    """Its signature shows those of the options that most engines set."""
    shown = {
        name: parameter.default
        for name, parameter in inspect.signature(create_engine).parameters.items()
        if name in EngineOptions.model_fields
    }
    assert len(shown) == 4
    assert shown == {name: EngineOptions.model_fields[name].default for name in shown}
    assert (
        shown.keys() | get_type_hints(EngineSettings).keys() == EngineOptions.model_fields.keys()
    )
    assert not shown.keys() & get_type_hints(EngineSettings).keys()
    assert create_engine("postgresql://pulse@localhost/pulse").options == EngineOptions()


def test_a_length_may_be_given_as_seconds() -> None:
    engine = create_engine("postgresql://pulse@localhost/pulse", shutdown_grace=1.5)
    assert engine.options.shutdown_grace == timedelta(seconds=1.5)
