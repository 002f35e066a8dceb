"""``pulse emit``: send a signal, and wait for its runs if asked to."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, cast

from cyclopts import Parameter
from pydantic import JsonValue

from pulse_temporal.cli.connection import Pulse, require_tenant, with_pulse
from pulse_temporal.cli.exits import Exit, UsageError
from pulse_temporal.cli.explaining import print_explanation
from pulse_temporal.cli.moments import read_length
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output
from pulse_temporal.cli.tables import Cell
from pulse_temporal.cli.watching import watch
from pulse_temporal.model.problems import did_you_mean
from pulse_temporal.model.signals import TriggerEnvelope

SOURCE = "cli"
Pairs = Annotated[list[str] | None, Parameter(negative=())]
JsonText = Annotated[str | None, Parameter(name="--json")]


def emit(  # noqa: PLR0913 - the fields of a signal, each by name
    type_: Annotated[str, Parameter(name="TYPE")],
    /,
    *,
    resource: str | None = None,
    env: str | None = None,
    source: str = SOURCE,
    data: Pairs = None,
    json_text: JsonText = None,
    file: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    key: str | None = None,
    wait: Annotated[bool, Parameter(negative=())] = False,
    timeout: str = "30s",
    explain: Annotated[bool, Parameter(negative=())] = False,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Emit a signal: it is stored, and a run is planned for every definition that it matches.

    With --wait the exit code is 0 when each of its runs has completed, and 1 otherwise.

    Parameters
    ----------
    type_:
        What happened, for example heartbeat.missed.
    resource:
        What it is about: kind/id, for example service/api-1.
    env:
        Environment, for example production.
    source:
        The system that it comes from.
    data:
        A fact of the payload: name=value. The value is JSON where it reads as such, else text.
    json_text:
        The whole payload, as JSON.
    file:
        The whole payload from a file with JSON; - reads standard input.
    key:
        Idempotency key: emits of one tenant with the same key are one signal.
    wait:
        Show its runs until all of them are over.
    timeout:
        Wait at most so long, such as 30s or 5m.
    explain:
        Say of each definition why it was started, or why not.
    """
    out = Output(options)
    limit = read_length(timeout, option="--timeout")
    payload = read_payload(data, json_text, file)
    signal = signal_of(options, type_, source, resource=resource, env=env, payload=payload)
    if key is not None:
        signal["idempotencyKey"] = key

    async def send(pulse: Pulse) -> int:
        stored = await pulse.signals.emit(signal)
        if not out.data(stored):
            await _tell(out, pulse, stored, hints=not explain)
            if explain:
                print_explanation(out, await pulse.signals.explain(stored.id))
        if wait and stored.run_ids:
            return await _wait(out, pulse, stored.run_ids, limit)
        return Exit.OK

    return with_pulse(options, send)


def match(  # noqa: PLR0913 - the fields of a signal, each by name
    type_: Annotated[str, Parameter(name="TYPE")],
    /,
    *,
    resource: str | None = None,
    env: str | None = None,
    source: str = SOURCE,
    data: Pairs = None,
    json_text: JsonText = None,
    file: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Show which definitions a signal would start now, and why not the others; nothing is emitted.

    Parameters
    ----------
    type_:
        What would happen, for example heartbeat.missed.
    resource:
        What it is about: kind/id, for example service/api-1.
    env:
        Environment, for example production.
    source:
        The system that it comes from.
    data:
        A fact of the payload: name=value. The value is JSON where it reads as such, else text.
    json_text:
        The whole payload, as JSON.
    file:
        The whole payload from a file with JSON; - reads standard input.
    """
    out = Output(options)
    payload = read_payload(data, json_text, file)
    signal = signal_of(options, type_, source, resource=resource, env=env, payload=payload)
    found = with_pulse(options, lambda pulse: pulse.signals.explain(signal))
    if not out.data(found):
        out.line(f"{found.runs} run{'' if found.runs == 1 else 's'} would start")
        print_explanation(out, found)
    return Exit.OK


def signal_of(
    options: GlobalOptions,
    type_: str,
    source: str,
    *,
    resource: str | None,
    env: str | None,
    payload: Mapping[str, JsonValue],
) -> dict[str, object]:
    """Return a signal that a user wrote.

    Raises:
        UsageError: The resource is no kind/id, or no tenant is named.
    """
    kind, separator, about = (resource or "").partition("/")
    if resource is not None and not (kind and separator and about):
        raise UsageError(f"--resource: {resource!r} is no kind/id, such as service/api-1.")
    fields = {
        "resourceType": kind or None,
        "resourceId": about or None,
        "environment": env,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    owner = {"tenantId": require_tenant(options), "type": type_, "source": source}
    return {**owner, **given, "payload": dict(payload)}


async def _wait(out: Output, pulse: Pulse, run_ids: Sequence[str], limit: timedelta) -> int:
    if not out.is_table:  # the signal is the result; two documents on one stream are none
        runs = [await pulse.runs.wait(run_id, limit) for run_id in run_ids]
        return Exit.OK if all(run.status == "completed" for run in runs) else Exit.FAILED
    return await watch(out, pulse, run_ids, limit=limit)


async def _tell(out: Output, pulse: Pulse, stored: TriggerEnvelope, *, hints: bool) -> None:
    number = len(stored.run_ids)
    again = "  (the signal of an earlier emit with this key)" if stored.duplicate else ""
    runs = f"{number} run{'' if number == 1 else 's'}"
    out.facts({stored.id: Cell(f"{runs}{again}", "green" if number else "yellow")})
    for run_id in stored.run_ids:
        out.line(f"  {run_id}")
    if stored.run_ids:
        out.note(f"Follow: pulse runs watch {' '.join(stored.run_ids)}")
        return
    if not hints:
        return
    types = {each.trigger_type async for each in pulse.definitions.iterate(is_enabled=True)}
    if stored.type in types:
        out.note(
            "No definition matched; look at their filters: "
            f"pulse definitions list --type {stored.type}"
        )
    elif types:
        hint = did_you_mean(stored.type, types)
        out.note(f"No enabled definition waits for {stored.type!r}. {hint or ''}".rstrip())
    else:
        out.note("This tenant has no enabled definition.")


def read_payload(
    pairs: Sequence[str] | None, text: str | None, file: str | None
) -> dict[str, JsonValue]:
    """Return the payload that a user wrote in one of three ways.

    Raises:
        UsageError: It is no JSON object, or was given in two ways.
    """
    if sum(given is not None and given != [] for given in (pairs, text, file)) > 1:
        raise UsageError("Give the payload by --data, by --json or by --file, not by two of them.")
    if file is not None:
        return _object(_read(file), "standard input" if file == "-" else file)
    if text is not None:
        return _object(text, "--json")
    return dict(_fact(pair) for pair in pairs or ())


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--file: {file} cannot be read: {error}") from error


def _object(text: str, place: str) -> dict[str, JsonValue]:
    try:
        value = cast("JsonValue", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place} holds no JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f'{place} must hold a JSON object, such as {{"amount": 5}}.')
    return value


def _fact(pair: str) -> tuple[str, JsonValue]:
    name, separator, text = pair.partition("=")
    if not (name and separator):
        raise UsageError(f"--data: {pair!r} is no name=value.")
    try:
        return name, cast("JsonValue", json.loads(text))
    except (ValueError, RecursionError):
        return name, text
