"""Read the connection strings that hosters and other libraries give out.

Strict about form, as what is misread would connect to somewhere else; an error names the part
that is wrong and quotes neither user name nor password. Every parameter of libpq is honoured,
passed over because nothing depends on it here, or refused because security would; those that
other libraries put into the same string are passed over. What is left is a setting of the
server, which knows whether it exists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext, create_default_context
from typing import TypedDict
from urllib.parse import quote, unquote, urlencode

from pulse_temporal.errors import ConfigurationError

SCHEME = re.compile(r"^(?:jdbc:)?(?P<name>[A-Za-z][A-Za-z0-9.]*)(?:\+\w+)?://")
SCHEMES = ("postgresql", "postgres", "pgsql", "postgis")
BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
UNFIT = re.compile(r"[\x00-\x20\x7f]")
BRACKETED = re.compile(r"^\[(?P<host>[0-9A-Za-z:.%]+)\](?::(?P<port>.*))?$")
RESERVED = 'write "@" as %40, "/" as %2F, "?" as %3F, "#" as %23, ":" as %3A and "%" as %25 there'

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SESSION_TARGETS = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")
YES, NO = ("1", "true", "on", "yes"), ("0", "false", "off", "no")

PASSED_OVER = frozenset({
    # libpq: how, not where or how safely
    "channel_binding", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval",
    "load_balance_hosts", "max_protocol_version", "min_protocol_version", "sslcompression",
    "sslsni", "tcp_user_timeout",
    # other libraries: their own pools and waits
    "command_timeout", "conn_health_checks", "conn_max_age", "connection_limit", "pool_timeout",
    "max_connection_lifetime", "max_idle_connection_lifetime", "pool_max_conns", "pool_min_conns",
    "pool_max_conn_lifetime", "pool_max_conn_idle_time", "reWriteBatchedInserts",
    "single_use_connections", "socket_timeout", "supa", "tcpKeepAlive", "uselibpqcompat",
    "workaround",
})  # fmt: skip
"""Parameters without a meaning here; docs/operate/postgres.md lists them."""

REFUSED = frozenset({
    "oauth_client_id", "oauth_client_secret", "oauth_issuer", "oauth_scope", "require_auth",
    "requirepeer", "scram_client_key", "scram_server_key", "servicefile", "sslaccept",
    "sslcertmode", "sslidentity", "sslkeylogfile",
})  # fmt: skip
"""Parameters whose author relies on them, and which the driver does not know."""

FOR_DRIVER = frozenset({
    "gsslib", "krbsrvname", "passfile", "service", "sslcert", "sslcrl", "sslkey", "sslmode",
    "sslpassword", "sslrootcert", "ssl_max_protocol_version", "ssl_min_protocol_version",
    "target_session_attrs",
})  # fmt: skip
FILES = ("sslcert", "sslkey", "sslrootcert", "sslcrl")
OTHER_NAMES = {
    "database": "dbname", "ApplicationName": "application_name", "currentSchema": "schema",
    "prepareThreshold": "statement_cache_size",
    "prepared_statement_cache_size": "statement_cache_size", "loginTimeout": "connect_timeout",
}  # fmt: skip


class ConnectArguments(TypedDict, total=False):
    """What asyncpg is told about a server."""

    dsn: str
    host: list[str]
    port: list[int]
    user: str
    password: str
    database: str
    ssl: SSLContext
    direct_tls: bool
    server_settings: dict[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """A connection string that was read.

    Attributes:
        arguments: For asyncpg; with the password, so never shown.
        connect_seconds: Bound of connecting, when the string has one.
        is_pooled: The string says that a pooler in transaction mode answers, so that prepared
            statements must not be kept.
    """

    arguments: ConnectArguments = field(repr=False)
    connect_seconds: float | None = None
    is_pooled: bool = False


def read_dsn(dsn: object) -> Target:
    """Read a connection string.

    Raises:
        ConfigurationError: It is wrong; the message says which part, and never quotes it.
    """
    if not isinstance(dsn, str):
        hint = "Is DATABASE_URL set?" if dsn is None else "Give text, or an asyncpg.Pool."
        raise _wrong(f"it is no text but {'None' if dsn is None else type(dsn).__name__}. {hint}")
    text = dsn.strip()
    scheme = _check_scheme(text)
    authority, rest = _cut(text[scheme:], "/?")
    path, _, query = rest.partition("?")
    _check_form(text, authority=authority, path=path)
    arguments = ConnectArguments()
    login, _, places = authority.rpartition("@")
    user, _, password = login.partition(":")
    if user:
        arguments["user"] = _decode(user, "user name")
    if password:
        arguments["password"] = _decode(password, "password")
    values = _parameters(query)
    _place(arguments, [_decode(place, "host") for place in places.split(",")], values)
    if database := _decode(path.removeprefix("/"), "database"):
        arguments["database"] = database
    _identify(arguments, values)
    _secure(arguments, values)
    return _settle(arguments, values)


def _wrong(reason: str) -> ConfigurationError:
    return ConfigurationError(f"The DSN of Postgres is wrong: {reason}")


def _check_scheme(text: str) -> int:
    """Return where the scheme ends."""
    if not text:
        raise _wrong("it is empty. Is DATABASE_URL set?")
    found = SCHEME.match(text)
    if found is None:
        raise _wrong("it has no scheme. Write postgresql://user:password@host:5432/database.")
    if found["name"].lower() not in SCHEMES:
        raise _wrong(f"its scheme is {found['name']!r}; postgresql:// is accepted.")
    return found.end()


def _cut(text: str, marks: str) -> tuple[str, str]:
    """Cut a text before the first of some characters."""
    ends = [place for mark in marks if (place := text.find(mark)) >= 0]
    end = min(ends, default=len(text))
    return text[:end], text[end:]


def _check_form(text: str, *, authority: str, path: str) -> None:
    """Refuse what a user name or a password with reserved characters is misread as."""
    if UNFIT.search(text):
        raise _wrong('it holds white space or a control character; write a space as "%20".')
    if "#" in text:
        raise _wrong(f'it holds "#". If that belongs to the password, {RESERVED}.')
    if authority.count("@") > 1:
        raise _wrong(f'user name or password hold "@" as it is; {RESERVED}.')
    if "@" in path:
        raise _wrong(f'user name, password or database hold "/" or "@" as it is; {RESERVED}.')
    if "/" in path[1:]:
        raise _wrong('the name of the database holds "/"; write %2F.')


def _decode(text: str, part: str) -> str:
    if BROKEN_ESCAPE.search(text):
        raise _wrong(f'the {part} holds a "%" that begins no escape; write %25.')
    try:
        found = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _wrong(f"the escapes in the {part} are not UTF-8.") from None
    if "\x00" in found:
        raise _wrong(f"the {part} holds NUL.")
    return found


def _parameters(query: str) -> dict[str, str]:
    """Read what follows the question mark; of two by one name the last one counts."""
    values: dict[str, str] = {}
    for number, pair in enumerate(filter(None, query.split("&")), start=1):
        name, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name):
            raise _wrong(
                f'parameter {number} after "?" is not of the form name=value. If "?" or "&" '
                f"belong to the password, {RESERVED}."
            )
        values[OTHER_NAMES.get(name, name)] = _decode(value, f"value of parameter {number}")
    return values


def _place(arguments: ConnectArguments, places: list[str], values: dict[str, str]) -> None:
    """Return which hosts and ports to try, in this order."""
    named = [place for place in (values.pop("host", "") or "").split(",") if place]
    numeric = [place for place in values.pop("hostaddr", "").split(",") if place]
    if places == [""]:
        places = named or numeric
    ports = [_port(port) for port in values.pop("port", "").split(",") if port]
    if not places:
        if ports:
            arguments["port"] = ports
        return
    found = [_host(place) for place in places]
    if len(ports) == 1:
        ports *= len(found)
    if ports and len(ports) != len(found):
        raise _wrong(f"it names {len(found)} hosts and {len(ports)} ports.")
    arguments["host"] = [host for host, _ in found]
    own = [port for _, port in found]
    if ports or any(own):
        arguments["port"] = [
            mine or (ports[index] if ports else 5432) for index, mine in enumerate(own)
        ]


def _host(place: str) -> tuple[str, int | None]:
    """Read a host, a socket's folder or an IPv6 address in brackets, each with its port."""
    if place.startswith("/"):
        return place, None
    if place.startswith("["):
        found = BRACKETED.match(place)
        if found is None:
            raise _wrong("a host in brackets is no IPv6 address.")
        return found["host"], _port(found["port"]) if found["port"] else None
    host, _, port = place.partition(":")
    if not host:
        raise _wrong("a host is empty.")
    return host, _port(port) if port else None


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0  # noqa: PLR2004 - digits of the largest port
    if not 0 < number < 2**16:
        raise _wrong(
            "the port is no number from 1 to 65535. If it is the end of a password that holds "
            f"reserved characters, {RESERVED}."
        )
    return number


def _identify(arguments: ConnectArguments, values: dict[str, str]) -> None:
    """Say who connects, and to which database."""
    user, password, database = (values.pop(name, "") for name in ("user", "password", "dbname"))
    if user and "user" not in arguments:
        arguments["user"] = user
    if password and "password" not in arguments:
        arguments["password"] = password
    if database and "database" not in arguments:
        arguments["database"] = database
    is_told_elsewhere = "service" in values or bool(os.environ.get("PGDATABASE"))
    if "database" not in arguments and not is_told_elsewhere:
        raise _wrong("it names no database. Write it behind the host: …@host:5432/database.")


def _secure(arguments: ConnectArguments, values: dict[str, str]) -> None:
    """Say how the connection is encrypted."""
    mode = _ssl_mode(values)
    if mode != "disable":
        for name in FILES:
            file = values.get(name)
            if file and (name, file) != ("sslrootcert", "system") and not Path(file).is_file():
                raise _wrong(f"there is no file {file!r}, which {name} names.")
    if values.get("sslrootcert") == "system":
        if mode not in (None, "verify-full"):
            raise _wrong("sslrootcert=system needs sslmode=verify-full.")
        arguments["ssl"] = _system_roots(values)
    elif mode is not None:
        values["sslmode"] = mode
    negotiation = values.pop("sslnegotiation", "postgres")
    if negotiation not in ("postgres", "direct"):
        raise _wrong("sslnegotiation must be postgres or direct.")
    if negotiation == "direct":
        arguments["direct_tls"] = True


def _ssl_mode(values: dict[str, str]) -> str | None:
    other = values.pop("ssl", None)
    mode = values.pop("sslmode", other)
    if mode is None:
        return None
    mode = "require" if mode in YES else "disable" if mode in NO else mode
    if mode not in SSL_MODES:
        raise _wrong(f"sslmode must be one of {', '.join(SSL_MODES)}.")
    return mode


def _system_roots(values: dict[str, str]) -> SSLContext:
    """Trust whom the system trusts, as libpq does for ``sslrootcert=system``."""
    context = create_default_context()
    del values["sslrootcert"]
    certificate, key = values.pop("sslcert", None), values.pop("sslkey", None)
    if certificate:
        try:
            context.load_cert_chain(certificate, key, values.pop("sslpassword", None))
        except (OSError, ValueError):
            raise _wrong("sslcert, sslkey and sslpassword do not go together.") from None
    return context


def _settle(arguments: ConnectArguments, values: dict[str, str]) -> Target:
    """Sort out what is left: for the driver, for the server, or for nobody."""
    seconds = _seconds(values.pop("connect_timeout", ""))
    is_pooled = values.pop("pgbouncer", "") in YES
    is_pooled = values.pop("statement_cache_size", "") == "0" or is_pooled
    if target := values.pop("target_session_attrs", ""):
        if target not in SESSION_TARGETS:
            raise _wrong(f"target_session_attrs must be one of {', '.join(SESSION_TARGETS)}.")
        values["target_session_attrs"] = target
    _check_fixed(values)
    for_driver = {name: values.pop(name) for name in FOR_DRIVER & values.keys()}
    if for_driver:
        arguments["dsn"] = f"postgresql://?{urlencode(for_driver, quote_via=quote)}"
    settings = _server_settings(
        {name: value for name, value in values.items() if name not in PASSED_OVER}
    )
    if settings:
        arguments["server_settings"] = settings
    return Target(arguments, connect_seconds=seconds, is_pooled=is_pooled)


def _seconds(text: str) -> float | None:
    """Read ``connect_timeout``; zero, a negative number and nothing mean no bound of its own."""
    if not text:
        return None
    try:
        seconds = int(text)
    except ValueError:
        raise _wrong("connect_timeout is no whole number of seconds.") from None
    return float(seconds) if seconds > 0 else None


def _check_fixed(values: dict[str, str]) -> None:
    """Take what may have one meaning only, and refuse what would be a false promise."""
    allowed: dict[str, tuple[str, ...]] = {
        "client_encoding": ("utf8", "utf-8", "unicode", "auto"),
        "gssencmode": ("disable", "prefer", "allow"),
        "gssdelegation": NO,
        "replication": NO,
    }
    for name, accepted in allowed.items():
        if values.pop(name, accepted[0]).lower() not in accepted:
            raise _wrong(f"{name} must be {' or '.join(accepted)}, or left out.")
    for name in sorted(REFUSED & values.keys()):
        raise _wrong(
            f"the parameter {name!r} is not supported; see docs/operate/postgres.md for those "
            "that are."
        )


def _server_settings(values: Mapping[str, str]) -> dict[str, str]:
    """Return what the server is told at the beginning of each connection."""
    settings = dict(values)
    fallback = settings.pop("fallback_application_name", None)
    if fallback:
        settings.setdefault("application_name", fallback)
    schema = settings.pop("schema", "public")
    if schema != "public":
        escaped = schema.replace('"', '""')
        settings.setdefault("search_path", f'"{escaped}"')
    if "options" in settings:
        settings["options"] = settings["options"].replace("+", " ")
    return settings
