"""Options of an engine and the limits it enforces: values only, no I/O."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, ClassVar, Literal, TypeAlias, TypedDict

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

KIBIBYTE = 1024
HARD_JSON_BYTES = 16 * KIBIBYTE * KIBIBYTE
"""Upper bound of every size limit: no field can be configured to hold more canonical JSON."""

PagesUrl = Annotated[str, StringConstraints(pattern=r"^(|https?://[^\s()<>]{1,500})$")]
"""Without brackets and blanks, so that it can stand in a link in Markdown."""

Prefix = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
QueuePrefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
JsonBytes = Annotated[int, Field(gt=0), Field(le=HARD_JSON_BYTES)]

WRITTEN = re.compile(r"(?P<number>\d{1,12}(?:\.\d{1,9})?) ?(?P<unit>ms|s|min|m|h|d)?")
"""A length of time as people write it: ``30``, ``30s``, ``1.5 h``."""

UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def _read_length(value: object, read: ValidatorFunctionWrapHandler) -> timedelta:
    """Return a length of time; a number without a unit counts seconds.

    Raises:
        PydanticCustomError: It is none. Neither the message nor a chained error repeats the
            value, which may be a secret in the wrong variable.
    """
    written = WRITTEN.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        if written is not None:
            return float(written["number"]) * UNITS[written["unit"] or "s"]
        length: timedelta = read(value)
    except (OverflowError, ValidationError):
        pass  # raised below, where pydantic's error and the value in it are not chained
    else:
        return length
    raise PydanticCustomError(
        "pulse_length_of_time",
        "must be a length of time: 30 or 30s, 250ms, 5m, 2h, 1d, or ISO 8601 such as PT30S",
    )


Duration: TypeAlias = timedelta | float
"""A length of time that a caller gives: a timedelta, or a number of seconds."""

Length = Annotated[timedelta, WrapValidator(_read_length)]
"""A length of time: a timedelta, a number of seconds, or text such as ``30s`` or ``PT30S``."""

Positive = Annotated[Length, Field(gt=timedelta())]


class Options(BaseModel):
    """Base of all groups of options: frozen, and an unknown name is an error.

    Errors never show a value: it may be a secret in the wrong variable.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True
    )


class Limits(Options):
    """Bounds on what tenants and handlers may send, enforced before anything is stored.

    Attributes:
        payload_bytes: Canonical JSON of a trigger's payload, UTF-8.
        result_bytes: Canonical JSON of what one handler returns.
        context_bytes: Recorded results of one run altogether, at most 64 MiB; ``ctx.run``
            holds a copy. Branches that record at the same moment may exceed it by a little.
        definition_bytes: Canonical JSON of a whole definition.
        log_data_bytes: ``data`` of one log line; longer data is cut.
        log_lines: Log lines that one attempt may write; further ones are only counted.
        error_bytes: Text of one error; longer text is cut.
        steps: Steps in one definition, all branches included.
        branches: Branches of one parallel step.
        depth: Nesting of parallel steps.
        delay: Longest delay step.
        chain_depth: Length of a chain of signals that cause each other, the first included.
        chain_signals: Signals that one signal may cause altogether, at any depth.
        runs_per_signal: Runs that one signal may start, one for each definition that it matches.
        steps_per_signal: Steps of those runs altogether.
    """

    payload_bytes: JsonBytes = 256 * KIBIBYTE
    result_bytes: JsonBytes = 256 * KIBIBYTE
    context_bytes: Annotated[int, Field(gt=0), Field(le=64 * KIBIBYTE * KIBIBYTE)] = (
        4 * KIBIBYTE * KIBIBYTE
    )
    definition_bytes: JsonBytes = 256 * KIBIBYTE
    log_data_bytes: JsonBytes = 16 * KIBIBYTE
    log_lines: Annotated[int, Field(ge=0), Field(le=100_000)] = 1_000
    error_bytes: Annotated[int, Field(ge=256), Field(le=64 * KIBIBYTE)] = 8 * KIBIBYTE
    steps: Annotated[int, Field(ge=1), Field(le=10_000)] = 1_000
    branches: Annotated[int, Field(ge=2), Field(le=1_000)] = 100
    depth: Annotated[int, Field(ge=1), Field(le=64)] = 16
    delay: Positive = timedelta(days=30)
    chain_depth: Annotated[int, Field(ge=1), Field(le=1_000)] = 16
    chain_signals: Annotated[int, Field(ge=1), Field(le=1_000_000)] = 10_000
    runs_per_signal: Annotated[int, Field(ge=1), Field(le=100_000)] = 1_000
    steps_per_signal: Annotated[int, Field(ge=1), Field(le=1_000_000)] = 50_000


class EngineSettings(TypedDict, total=False):
    """The options that ``create_engine`` takes by name; ``EngineOptions`` says what they mean."""

    pages_url: str
    unregistered_signals: Literal["refuse", "accept"]
    action_timeout: Duration
    local_activity_limit: Duration
    heartbeat_timeout: Duration
    task_timeout: Duration
    max_lost_workers: int
    blocked_step_timeout: Duration
    history_result_bytes: int
    shutdown_grace: Duration
    relay_interval: Duration
    reconcile_interval: Duration
    emit_lease: Duration
    cron_catchup: Duration
    postgres_timeout: Duration
    statement_cache: bool
    temporal_timeout: Duration
    limits: Limits


class GivenSettings(EngineSettings, total=False):
    """The options that ``engine_from_environment`` takes by name."""

    namespace: str
    table_prefix: str
    queue_prefix: str
    concurrency: int


class EngineOptions(Options):
    """Everything about an engine that is not a connection, a handler or a hook.

    Attributes:
        namespace: Temporal namespace; it must exist.
        table_prefix: First part of every table's name.
        queue_prefix: Name of the Temporal task queue.
        concurrency: Handlers that one worker runs at the same time.
        pages_url: Where the pages are served, as ``https://pulse.example.com/pulse``: Temporal's
            own pages link from a run to its page there. Empty: they do not.
        unregistered_signals: ``refuse`` raises for a type that was never registered;
            ``accept`` stores and matches it.
        action_timeout: Bound of one attempt of a step without ``timeout_ms``.
        local_activity_limit: A step that declares a timeout of at most this runs as a
            Temporal local activity. An async condition without a timeout is tried as one for
            this long, and asked again through the queue if it takes longer. Zero turns both off.
        heartbeat_timeout: A worker that runs a queued handler counts as dead after this silence.
        task_timeout: Bound of one Temporal workflow task; also the time until a local activity
            of a killed worker is taken up again.
        max_lost_workers: Lost workers that one step survives before it fails; deliveries that
            can record nothing count too.
        blocked_step_timeout: How long a step waits for a worker that knows its handler and has
            a free thread for it.
        history_result_bytes: Largest result shown in Temporal's history; 0 shows none.
        shutdown_grace: How long ``stop()`` lets running handlers finish.
        relay_interval: Pause between two looks at the outbox.
        reconcile_interval: Pause between two comparisons of the mirror with Temporal; one of the
            workers makes each.
        emit_lease: How long the emitting process keeps its own starts to itself.
        cron_catchup: How late a cron tick may still fire after Temporal was away; older missed
            ticks are lost. Temporal accepts no less than 10 seconds.
        postgres_timeout: Bound of connecting, of waiting for a connection and of a statement.
        statement_cache: Keep prepared statements, which is faster. Set it to False behind a
            pooler in transaction mode, such as PgBouncer. It has no effect on a pool that the
            application passes, which has its own setting.
        temporal_timeout: Bound of one call to Temporal.
        limits: Bounds on what tenants and handlers may send.
    """

    namespace: Annotated[str, StringConstraints(min_length=1)] = "default"
    table_prefix: Prefix = "pulse_"
    queue_prefix: QueuePrefix = "pulse"
    concurrency: Annotated[int, Field(ge=1), Field(le=10_000)] = 100
    pages_url: PagesUrl = ""
    unregistered_signals: Literal["refuse", "accept"] = "refuse"
    action_timeout: Positive = timedelta(minutes=5)
    local_activity_limit: Annotated[
        Length, Field(ge=timedelta()), Field(le=timedelta(seconds=10))
    ] = timedelta(seconds=2)
    heartbeat_timeout: Positive = timedelta(seconds=10)
    task_timeout: Annotated[
        Length, Field(ge=timedelta(seconds=1)), Field(le=timedelta(seconds=120))
    ] = timedelta(seconds=5)
    max_lost_workers: Annotated[int, Field(ge=1), Field(le=100)] = 5
    blocked_step_timeout: Positive = timedelta(hours=1)
    history_result_bytes: Annotated[int, Field(ge=0), Field(le=64 * KIBIBYTE)] = 4 * KIBIBYTE
    shutdown_grace: Annotated[Length, Field(ge=timedelta())] = timedelta(seconds=20)
    relay_interval: Positive = timedelta(milliseconds=200)
    reconcile_interval: Positive = timedelta(minutes=1)
    emit_lease: Positive = timedelta(seconds=5)
    cron_catchup: Annotated[Length, Field(ge=timedelta(seconds=10))] = timedelta(minutes=1)
    postgres_timeout: Positive = timedelta(seconds=4)
    statement_cache: bool = True
    temporal_timeout: Positive = timedelta(seconds=5)
    limits: Limits = Field(default_factory=Limits)

    @property
    def task_queue(self) -> str:
        """Temporal task queue of this engine's workflows and handlers."""
        return self.queue_prefix


class EnvironmentOptions(BaseSettings, EngineOptions):
    """The same options from environment variables: ``PULSE_CONCURRENCY``, ``PULSE_LIMITS__STEPS``.

    Attributes:
        database_url: DSN of Postgres, from ``DATABASE_URL`` or ``PULSE_DATABASE_URL``.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(  # pyright: ignore[reportIncompatibleVariableOverride] - settings and models each type their own config
        env_prefix="PULSE_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
    )

    database_url: str = Field(
        default="",
        validation_alias=AliasChoices("DATABASE_URL", "PULSE_DATABASE_URL"),
        repr=False,
    )
