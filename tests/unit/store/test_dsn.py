"""Connection strings as hosters give them out, and as people get them wrong."""

from __future__ import annotations

from pathlib import Path
from ssl import SSLContext

import pytest

from pulse_temporal.errors import ConfigurationError
from pulse_temporal.postgres.dsn import read_dsn

PLAIN = "postgresql://app:s3cret@db.example.com/shop"
SECRET = "Tr0ub4dor"  # noqa: S105 - opens nothing


def settings(dsn: str) -> dict[str, str]:
    """Return what the server would be told."""
    return read_dsn(dsn).arguments.get("server_settings", {})


@pytest.mark.parametrize(
    "scheme",
    [
        "postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg", "POSTGRESQL",
        "postgresql+psycopg2", "postgres+asyncpg", "jdbc:postgresql", "pgsql",
    ],
)  # fmt: skip
def test_schemes_of_other_libraries(scheme: str) -> None:
    arguments = read_dsn(f"{scheme}://app:s3cret@db.example.com:5433/shop").arguments

    assert arguments == {
        "user": "app",
        "password": "s3cret",
        "host": ["db.example.com"],
        "port": [5433],
        "database": "shop",
    }


@pytest.mark.parametrize(
    "tail",
    [
        "channel_binding=require", "keepalives=1&keepalives_idle=30", "gssencmode=prefer",
        "connection_limit=1&pool_timeout=0", "schema=public", "supa=base-pooler.x",
        "client_encoding=utf8", "load_balance_hosts=disable", "sslsni=1", "conn_max_age=60",
        "tcp_user_timeout=1000", "replication=false",
    ],
)  # fmt: skip
def test_parameters_that_are_passed_over(tail: str) -> None:
    assert read_dsn(f"{PLAIN}?{tail}") == read_dsn(PLAIN)


def test_what_a_hoster_gives_out() -> None:
    target = read_dsn(
        "postgres://app:a%40b%2Fc@ep-1.eu.example.com/shop?sslmode=require"
        "&channel_binding=require&connect_timeout=3&options=endpoint%3Dep-1&application_name=web"
    )

    assert target.arguments.get("password") == "a@b/c"
    assert target.arguments.get("dsn") == "postgresql://?sslmode=require"
    assert target.arguments.get("server_settings") == {
        "options": "endpoint=ep-1",
        "application_name": "web",
    }
    assert target.connect_seconds == 3
    assert "a@b" not in repr(target)


@pytest.mark.parametrize(
    "tail", ["pgbouncer=true", "statement_cache_size=0", "prepareThreshold=0"]
)
def test_a_string_that_names_a_pooler_keeps_no_statements(tail: str) -> None:
    assert read_dsn(f"{PLAIN}?{tail}").is_pooled
    assert not read_dsn(PLAIN).is_pooled


def test_settings_of_the_server() -> None:
    assert settings(f"{PLAIN}?options=-csearch_path%3Dapp") == {"options": "-csearch_path=app"}
    assert settings(f"{PLAIN}?options=-c+search_path%3Dapp") == {"options": "-c search_path=app"}
    assert settings(f"{PLAIN}?schema=My%20App") == {"search_path": '"My App"'}
    assert settings(f"{PLAIN}?currentSchema=app") == {"search_path": '"app"'}
    assert settings(f"{PLAIN}?statement_timeout=5000") == {"statement_timeout": "5000"}
    assert settings(f"{PLAIN}?fallback_application_name=x") == {"application_name": "x"}


def test_hosts_sockets_and_ports() -> None:
    def places(dsn: str) -> tuple[list[str] | None, list[int] | None]:
        arguments = read_dsn(dsn).arguments
        return arguments.get("host"), arguments.get("port")

    assert places("postgresql:///shop?host=/run/pg&port=5433") == (["/run/pg"], [5433])
    assert places("postgresql://app@/shop?host=/run/pg") == (["/run/pg"], None)
    assert places("postgresql://%2Frun%2Fpg/shop") == (["/run/pg"], None)
    assert places("postgresql://a:1,b/shop") == (["a", "b"], [1, 5432])
    assert places("postgresql:///shop?host=a,b&port=1,2") == (["a", "b"], [1, 2])
    assert places("postgresql:///shop?host=a,b&port=7") == (["a", "b"], [7, 7])
    assert places("postgresql://[::1]:5433/shop") == (["::1"], [5433])


def test_certificates(tmp_path: Path) -> None:
    assert isinstance(read_dsn(f"{PLAIN}?sslrootcert=system").arguments.get("ssl"), SSLContext)
    file = tmp_path / "root.crt"
    file.touch()
    kept = read_dsn(f"{PLAIN}?sslmode=verify-full&sslrootcert={file}").arguments.get("dsn", "")
    assert "sslmode=verify-full" in kept
    with pytest.raises(ConfigurationError, match="sslrootcert names"):
        read_dsn(f"{PLAIN}?sslmode=verify-full&sslrootcert={tmp_path}/missing.crt")
    with pytest.raises(ConfigurationError, match="needs sslmode=verify-full"):
        read_dsn(f"{PLAIN}?sslmode=require&sslrootcert=system")


@pytest.mark.parametrize(
    ("dsn", "part"),
    [
        (None, "it is no text but None.*DATABASE_URL"),
        (42, "no text but int"),
        ("", "is empty.*DATABASE_URL"),
        ("  ", "is empty"),
        ("no dsn", "has no scheme"),
        (f"app:{SECRET}@db/shop", "has no scheme"),
        ("host=db dbname=shop", "has no scheme"),
        ("mysql://db/shop", "scheme is 'mysql'"),
        (f"postgresql://app:{SECRET}@x@db/shop", 'password hold "@"'),
        (f"postgresql://app:{SECRET}/x@db/shop", 'hold "/"'),
        (f"postgresql://app:{SECRET}#x@db/shop", 'holds "#"'),
        (f"postgresql://app:{SECRET}?x@db/shop", "not of the form name=value"),
        (f"postgresql://app:{SECRET}?x=1@db/shop", "the port is no number.*password"),
        (f"postgresql://app:{SECRET}%x@db/shop", 'password holds a "%"'),
        (f"postgresql://app:{SECRET}%ff@db/shop", "password are not UTF-8"),
        (f"postgresql://app:{SECRET} x@db/shop", "white space"),
        (f"postgresql://app:{SECRET}[@db:port/shop", "the port is no number"),
        ("postgresql://db:70000/shop", "the port is no number"),
        ("postgresql://db:0/shop", "the port is no number"),
        ("postgresql://db/shop?port=a", "the port is no number"),
        ("postgresql://a,b/shop?port=1,2,3", "2 hosts and 3 ports"),
        ("postgresql://a,,b/shop", "a host is empty"),
        ("postgresql://[nope/shop", "no IPv6 address"),
        ("postgresql://app@db", "names no database"),
        ("postgresql://app@db/", "names no database"),
        ("postgresql://db/shop?sslmode=always", "sslmode must be one of disable"),
        ("postgresql://db/shop?connect_timeout=soon", "connect_timeout"),
        ("postgresql://db/shop?client_encoding=latin1", "client_encoding must be utf8"),
        ("postgresql://db/shop?gssencmode=require", "gssencmode"),
        ("postgresql://db/shop?require_auth=scram-sha-256", "'require_auth' is not supported"),
        ("postgresql://db/shop?target_session_attrs=best", "target_session_attrs must be one"),
        ("postgresql://db/shop?sslmode", "not of the form name=value"),
    ],
)
def test_the_part_that_is_wrong_is_named_and_no_secret_shown(
    monkeypatch: pytest.MonkeyPatch, dsn: object, part: str
) -> None:
    monkeypatch.delenv("PGDATABASE", raising=False)
    with pytest.raises(ConfigurationError, match=part) as caught:
        read_dsn(dsn)
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
