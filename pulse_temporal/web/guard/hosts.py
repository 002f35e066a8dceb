"""Which host names and which addresses are this machine alone."""

from __future__ import annotations

from ipaddress import ip_address

ANY = "*"


def name_of(host: str) -> str:
    """Return the name in a Host header, in small letters, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def is_loopback(name: str) -> bool:
    """Return whether a host name or an address can only be this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
