"""The options of ``pulse bulk retry``, ``cancel`` and ``replay``: which runs, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from pulse_temporal.cli.connection import Pulse
from pulse_temporal.cli.exits import UsageError
from pulse_temporal.cli.ids import full_id
from pulse_temporal.cli.moments import read_moment
from pulse_temporal.cli.output import Output
from pulse_temporal.model.bulk import USUAL_RATE, BulkFilter
from pulse_temporal.model.runs import RunStatus
from pulse_temporal.model.views import Attention


def _option(text: str) -> Parameter:
    return Parameter(negative=(), help=text, show_default=False)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class RunChoice:
    """Which runs; each option narrows them.

    Attributes:
        every: All of the tenant, where nothing narrows them.
    """

    status: Annotated[
        list[RunStatus] | None,
        _option("Only runs of this status; may be given several times."),
    ] = None
    attention: Annotated[
        Attention | None, _option("Only open runs that are retrying, blocked or late.")
    ] = None
    definition: Annotated[str | None, _option("Only runs of the definition with this id.")] = None
    signal: Annotated[
        str | None, _option("Only runs of the signal with this id, and of its replays.")
    ] = None
    signal_type: Annotated[str | None, _option("Only runs of signals of this type.")] = None
    resource: Annotated[str | None, _option("Only runs about the resource with this id.")] = None
    failed_step: Annotated[
        str | None, _option("Only runs that failed at the step of this name.")
    ] = None
    error: Annotated[
        str | None,
        _option("Only runs that failed with this error, as pulse failures list shows it."),
    ] = None
    since: Annotated[
        str | None,
        _option("Only runs created since then: 30m, 2h, 1d (ago), or a date and time."),
    ] = None
    until: Annotated[str | None, _option("Only runs created before then.")] = None
    every: Annotated[
        bool,
        Parameter(
            name="--all",
            negative=(),
            help="All of the tenant's runs, where nothing narrows them.",
            show_default=False,
        ),
    ] = False

    @property
    def is_narrowed(self) -> bool:
        """Whether an option narrows the runs."""
        return any(
            (
                *(self.status, self.attention, self.definition, self.signal, self.signal_type),
                *(self.resource, self.failed_step, self.error, self.since, self.until),
            )
        )

    def check(self, runs: tuple[str, ...]) -> None:
        """Refuse what may be meant in two ways.

        Raises:
            UsageError: No run is meant, or ids and filters are mixed.
        """
        if runs and (self.is_narrowed or self.every):
            raise UsageError("Give ids of runs or filters, not both.")
        if not (runs or self.is_narrowed or self.every):
            raise UsageError("Which runs? Give their ids, a filter, or --all.")

    async def filter(self, out: Output, pulse: Pulse, *, tenant: str) -> BulkFilter:
        """Return the filter that the options stand for.

        Raises:
            UsageError: One of them cannot be read.
        """

        def moment(text: str | None, option: str) -> object:
            if text is None:
                return None
            return read_moment(text, option=option, now=out.now, utc=out.options.utc)

        definition, signal = self.definition, self.signal
        fields: dict[str, object] = {
            "tenant_id": tenant,
            "status": self.status or None,
            "attention": self.attention,
            "definition_id": definition and await full_id(pulse, definition, "definition"),
            "trigger_id": signal and await full_id(pulse, signal, "signal"),
            "signal_type": self.signal_type,
            "resource_id": self.resource,
            "failed_step": self.failed_step,
            "error": self.error,
            "created_after": moment(self.since, "--since"),
            "created_before": moment(self.until, "--until"),
        }
        return BulkFilter.model_validate(fields)


EVERY = RunChoice()


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class BulkWish:
    """How it is done, and whether it is done at all.

    Attributes:
        preview: Only say what it would be about.
        detach: Do not follow it.
    """

    reason: Annotated[
        str | None, _option("Why, for timelines and the audit; needed but for --preview.")
    ] = None
    name: Annotated[str | None, _option("What people call it.")] = None
    rate: Annotated[
        float, Parameter(negative=(), help="Runs a second, at most: 0.01 to 1000.")
    ] = USUAL_RATE
    key: Annotated[
        str | None,
        _option("Idempotency key: repeated with it, the command starts nothing new."),
    ] = None
    preview: Annotated[bool, _option("Say what it would be about, and do nothing.")] = False
    detach: Annotated[bool, _option("Start it and return, without following it.")] = False


USUAL = BulkWish()
