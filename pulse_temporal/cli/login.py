"""``pulse login-link``: a link that signs somebody in to the pages, once."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter

from pulse_temporal.cli.connection import open_pulse_of_all, require_tenant, whoever_types
from pulse_temporal.cli.exits import Exit, UsageError
from pulse_temporal.cli.keys import ALL, scopes_of
from pulse_temporal.cli.logs import no_log
from pulse_temporal.cli.moments import read_length
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output
from pulse_temporal.model.acting import acting
from pulse_temporal.model.sessions import NewLoginLink
from pulse_temporal.model.values import Value


class MadeLink(Value):
    """A link, as JSON.

    Attributes:
        url: Where it leads.
        new: The link, and its token.
    """

    url: str
    new: NewLoginLink


def make_login_link(
    name: str,
    /,
    *,
    role: str | None = None,
    scope: tuple[str, ...] = (),
    expires: str = "10m",
    url: Annotated[str, Parameter(env_var="PULSE_WEB_URL")] = "http://127.0.0.1:8765",
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Make a link that signs somebody in to the pages, once.

    Say whose data they may see: --tenant, or --tenant '*' for all tenants.

    Parameters
    ----------
    name:
        Of whom it signs in.
    role:
        What they may do: viewer, operator, author or admin.
    scope:
        One thing that they may do, such as runs:read; may be repeated.
    expires:
        How long the link can be used, such as 10m, up to 7d.
    url:
        Address of the pages.
    """
    out = Output(options)
    tenant = require_tenant(options)
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--url: {url!r} is no address; https://pulse.example is one.")
    lasts = read_length(expires, option="--expires")

    async def make() -> NewLoginLink:
        async with open_pulse_of_all() as engine:
            return await engine.create_login_link(
                name,
                scopes=scopes_of(role, scope),
                tenants=None if tenant == ALL else [tenant],
                expires_in=lasts,
            )

    with no_log(), acting(whoever_types()):
        new = asyncio.run(make())
    address = f"{url.rstrip('/')}/sign-in/link/{new.token}"
    if not out.data(MadeLink(url=address, new=new)):
        out.line(address)
        out.note(f"It signs {name} in once, until {out.both(new.link.expires_at)}.")
    return Exit.OK
