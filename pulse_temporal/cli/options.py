"""The options that every command about tenants has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from cyclopts import Group, Parameter

OutputFormat: TypeAlias = Literal["table", "json", "jsonl"]

EVERYWHERE = Group("Everywhere", sort_key=100)


def _flag(text: str) -> Parameter:
    return Parameter(negative=(), help=text, group=EVERYWHERE, show_default=False)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOptions:
    """What each command takes beside its own options.

    Attributes:
        tenant: The only tenant to look at; None for all of them.
        output: How results are written to standard output.
        quiet: Print results and errors, and nothing else.
        no_color: Print no colours.
        utc: Show moments in UTC instead of in local time.
        yes: Do it without asking.
    """

    tenant: Annotated[
        str | None,
        Parameter(
            name=("--tenant", "-t"),
            env_var="PULSE_TENANT",
            help="Whose; without it, of all tenants.",
            group=EVERYWHERE,
        ),
    ] = None
    output: Annotated[
        OutputFormat,
        Parameter(name=("--output", "-o"), help="How results are written.", group=EVERYWHERE),
    ] = "table"
    quiet: Annotated[bool, _flag("Print results and errors only.")] = False
    no_color: Annotated[bool, _flag("Print no colours; NO_COLOR does the same.")] = False
    utc: Annotated[bool, _flag("Show moments in UTC instead of in local time.")] = False
    yes: Annotated[bool, _flag("Do not ask.")] = False


DEFAULTS = GlobalOptions()
