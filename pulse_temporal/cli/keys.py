"""``pulse keys`` and ``pulse audit``: who may call the API, and who has changed what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pulse_temporal.cli.acting import Deed, act_on, no_advice
from pulse_temporal.cli.connection import (
    Pulse,
    open_pulse,
    require_tenant,
    tenant_of,
    whoever_types,
)
from pulse_temporal.cli.exits import Exit
from pulse_temporal.cli.logs import no_log
from pulse_temporal.cli.moments import read_length
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output
from pulse_temporal.cli.paging import DEFAULT_LIMIT, Limit, page_data, tell_count
from pulse_temporal.cli.tables import Cell, Column
from pulse_temporal.errors import InvalidInputError
from pulse_temporal.model.acting import acting
from pulse_temporal.model.api_keys import ROLES, ApiKey, NewApiKey

Answer = TypeVar("Answer")

ALL = "*"
KEY_COLUMNS = (
    Column(title="STATE"),
    Column(title="KEY"),
    Column(title="TENANT"),
    Column(title="NAME", is_flexible=True),
    Column(title="SCOPES", is_flexible=True),
    Column(title="CREATED"),
    Column(title="LAST USED"),
    Column(title="EXPIRES"),
)
AUDIT_COLUMNS = (
    Column(title="WHEN"),
    Column(title="WHO", is_flexible=True),
    Column(title="ACTION"),
    Column(title="SUBJECT"),
    Column(title="TENANT"),
    Column(title="REASON", is_flexible=True),
)


def create_key(
    name: str,
    /,
    *,
    role: str | None = None,
    scope: tuple[str, ...] = (),
    expires: str | None = None,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Make a key for a program that calls an API; its token is shown once.

    Say whose it is: --tenant, or --tenant '*' for a key of all tenants.

    Parameters
    ----------
    name:
        For people.
    role:
        What it may do: viewer, operator, author or admin.
    scope:
        One thing that it may do, such as runs:read; may be repeated.
    expires:
        After how long it is refused, such as 90d; never without it.
    """
    out = Output(options)
    tenant = require_tenant(options)
    scopes = scopes_of(role, scope)
    moment = None if expires is None else out.now + read_length(expires, option="--expires")
    made = _with_keys(
        None if tenant == ALL else tenant,
        lambda keys: keys.create_api_key(name, scopes=scopes, expires_at=moment),
    )
    return _show_token(out, made)


def scopes_of(role: str | None, scope: tuple[str, ...]) -> set[str]:
    """Return what a role and single scopes allow together.

    Raises:
        InvalidInputError: There is no such role.
    """
    if role is not None and role not in ROLES:
        raise InvalidInputError(f"--role is one of {', '.join(ROLES)}.")
    return {*scope, *(ROLES[role] if role else ())}


def list_keys(
    *,
    limit: Limit = DEFAULT_LIMIT,
    cursor: str | None = None,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """List keys, newest first; those that are over too.

    Parameters
    ----------
    limit:
        Keys at most, 1 to 500.
    cursor:
        Where the list before has ended.
    """
    out = Output(options)
    page = _with_keys(
        _tenant(options), lambda keys: keys.list_api_keys(limit=limit, cursor=cursor)
    )
    if not page_data(out, page):
        out.table(KEY_COLUMNS, [_key_cells(out, each) for each in page.items])
        tell_count(out, page, "key")
    return Exit.OK


def revoke_keys(
    key: str, /, *more: str, reason: str | None = None, options: GlobalOptions = DEFAULTS
) -> int:
    """Take keys away, for good; servers may accept them for 10 more seconds.

    Parameters
    ----------
    key:
        Id of a key.
    more:
        Ids of further keys.
    reason:
        Why, for the audit.
    """
    tenant = _tenant(options)
    deed = Deed(
        verb="Revoke",
        done="revoked",
        noun="key",
        act=lambda _pulse, each: _revoke(tenant, each, reason),
        advise=no_advice,
    )
    return act_on(Output(options), (key, *more), deed)


def rotate_key(
    key: str,
    /,
    *,
    grace: str = "24h",
    reason: str | None = None,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """Make a key like another one, which works on for a while; its token is shown once.

    Parameters
    ----------
    key:
        Id of the old key.
    grace:
        How long the old key still works, such as 24h.
    reason:
        Why, for the audit.
    """
    length = read_length(grace, option="--grace")
    made = _with_keys(
        _tenant(options), lambda keys: keys.rotate_api_key(key, grace=length, reason=reason)
    )
    return _show_token(Output(options), made)


def list_audit(
    *,
    subject: str | None = None,
    action: str | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: str | None = None,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """List who has changed what, newest first.

    Parameters
    ----------
    subject:
        Id of a run, signal, definition or key.
    action:
        One action, such as run.cancel.
    limit:
        Changes at most, 1 to 500.
    cursor:
        Where the list before has ended.
    """
    out = Output(options)
    page = _with_keys(
        _tenant(options),
        lambda keys: keys.list_audit(
            subject_id=subject, action=action, limit=limit, cursor=cursor
        ),
    )
    if page_data(out, page):
        return Exit.OK
    rows = [
        [
            Cell(out.moment(each.created_at)),
            Cell(each.actor.name),
            Cell(each.action),
            Cell(each.subject_id),
            Cell(each.tenant_id or ALL),
            Cell(each.reason or ""),
        ]
        for each in page.items
    ]
    out.table(AUDIT_COLUMNS, rows)
    tell_count(out, page, "change")
    return Exit.OK


def _tenant(options: GlobalOptions) -> str | None:
    tenant = tenant_of(options)
    return None if tenant == ALL else tenant


async def _revoke(tenant: str | None, key_id: str, reason: str | None) -> object:
    async with open_pulse(tenant) as pulse:
        return await pulse.revoke_api_key(key_id, reason=reason)


def _with_keys(tenant: str | None, work: Callable[[Pulse], Awaitable[Answer]]) -> Answer:
    """Run a command's work on keys, of one tenant or of all."""

    async def run() -> Answer:
        async with open_pulse(tenant) as pulse:
            return await work(pulse)

    with no_log(), acting(whoever_types()):
        return asyncio.run(run())


def _show_token(out: Output, made: NewApiKey) -> int:
    if not out.data(made):
        out.line(made.token)
        out.note(f"Key {made.key.id}. Keep the token: it cannot be shown again.")
    return Exit.OK


def _key_cells(out: Output, each: ApiKey) -> list[Cell]:
    return [
        _state(out, each),
        Cell(each.id),
        Cell(each.tenant_id or ALL),
        Cell(each.name),
        Cell(" ".join(each.scopes), "dim"),
        Cell(out.moment(each.created_at)),
        Cell(out.moment(each.last_used_at)),
        Cell(out.moment(each.expires_at)),
    ]


def _state(out: Output, each: ApiKey) -> Cell:
    if each.revoked_at is not None:
        return Cell("✗ revoked", "red")
    if each.has_expired(out.now):
        return Cell("\N{EN DASH} expired", "dim")
    return Cell("✓ works", "green")
