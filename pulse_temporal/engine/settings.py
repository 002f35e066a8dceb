"""Read an engine's options, by name or from the environment, and name what is wrong with them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from pulse_temporal.config import EngineOptions, EnvironmentOptions, Limits
from pulse_temporal.errors import ConfigurationError

log: logging.Logger = logging.getLogger(__name__)

PREFIX = "PULSE_"
OTHER_VARIABLES = frozenset(
    {
        "PULSE_APP",
        "PULSE_DATABASE_URL",
        "PULSE_FAILPOINTS",
        "PULSE_PG_BIN",
        "PULSE_TEMPORAL_BIN",
        "PULSE_TENANT",
        "PULSE_TEST_SERVER_BIN",
    }
)
"""What Pulse reads from the environment beside the options."""

GROUPS = ("PULSE_LIMITS__", "PULSE_WEB_")
"""What variables begin with that others read: limits, and the options of the pages."""

LIKENESS = 0.8
"""How like an option's name a variable must be, from 0 to 1, to count as mistyped."""


def options_by_name(given: Mapping[str, object]) -> EngineOptions:
    """Return the options that ``create_engine`` was given.

    Raises:
        ConfigurationError: Some are unknown or outside their bounds; all of them are named.
    """
    try:
        return EngineOptions.model_validate(given)
    except ValidationError as error:
        problems = error.errors(include_input=False)
    reasons = [_reason(problem, _option(problem["loc"]), _OPTIONS) for problem in problems]
    raise ConfigurationError(f"An engine option is wrong: {'; '.join(reasons)}")


def options_from_environment(given: Mapping[str, object]) -> tuple[EngineOptions, str]:
    """Return the options that ``PULSE_<OPTION>`` and ``PULSE_LIMITS__<LIMIT>`` set, and the DSN.

    Given options win; a variable that is passed over for one need not make sense.

    A variable that is like an option's name, but is none, is an error. Any other variable with
    the prefix is named in the log: PulseAudio, for example, has some.

    Raises:
        ConfigurationError: Variables are mistyped or wrong; all of them are named, no value is.
            Or given options are.
    """
    reasons = [*_mistyped_variables()]
    checked = options_by_name(given)
    options, wrong = _read_environment({name: getattr(checked, name) for name in given})
    reasons += wrong
    if reasons or options is None:
        raise ConfigurationError(f"A setting is wrong: {'; '.join(reasons)}")
    return options, options.database_url


def _read_environment(
    given: Mapping[str, object],
) -> tuple[EnvironmentOptions | None, list[str]]:
    """Return the options, or what is wrong with them.

    The errors of pydantic show values, which may be secrets, so they are not chained: what is
    raised afterwards is raised outside of their ``except`` blocks.
    """
    try:
        return EnvironmentOptions(**given), []  # pyright: ignore[reportArgumentType] - was checked
    except ValidationError as error:
        problems = error.errors(include_input=False)
    except SettingsError:
        return None, ["PULSE_LIMITS: is no JSON object; set PULSE_LIMITS__<LIMIT> instead"]
    return None, [_reason(problem, _variable(problem["loc"]), _VARIABLES) for problem in problems]


def _mistyped_variables() -> Iterator[str]:
    """Yield a reason for each variable that must be a mistyped option; log the other strangers."""
    known = _VARIABLES | OTHER_VARIABLES
    for name in sorted({name.upper() for name in os.environ} - known):
        if not name.startswith(PREFIX) or name.startswith(GROUPS):
            continue  # an unknown one of a group is found when the group is read
        if meant := _meant(name, _VARIABLES):
            yield f'{name}: is no setting. Did you mean "{meant}"?'
        else:
            log.warning(
                "The environment variable %s is no setting of Pulse; it is passed over. "
                "docs/reference/options.md lists the settings.",
                name,
            )


def _reason(problem: ErrorDetails, name: str, known: frozenset[str]) -> str:
    """Return what is wrong with one option; never its value."""
    if problem["type"] != "extra_forbidden":
        return f"{name}: {problem['msg']}"
    meant = _meant(name, known)
    return f"{name}: is no option." + (f' Did you mean "{meant}"?' if meant else "")


def _meant(name: str, known: frozenset[str]) -> str | None:
    """Return the known name that a name is most like, also when its group was left out."""
    last = name.removeprefix(PREFIX)
    for limit in Limits.model_fields:
        if last == limit or last == limit.upper():
            name = _variable(("limits", limit)) if known is _VARIABLES else f"limits.{limit}"
    close = get_close_matches(name, known, n=1, cutoff=LIKENESS)
    return close[0] if close else None


def _option(place: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in place)


def _variable(place: Sequence[int | str]) -> str:
    return PREFIX + "__".join(str(part) for part in place).upper()


_PLACES = [
    *((name,) for name in EngineOptions.model_fields),
    *(("limits", name) for name in Limits.model_fields),
]
_OPTIONS = frozenset(_option(place) for place in _PLACES)
_VARIABLES = frozenset(_variable(place) for place in _PLACES)
