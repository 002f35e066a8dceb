"""Finds free TCP ports of 127.0.0.1."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import ExitStack

LOCALHOST = "127.0.0.1"


def free_ports(wanted: Sequence[int]) -> list[int]:
    """Give one free port for each wanted one: that port itself, or another when it is taken.

    0 asks for any. The ports differ from each other. Nothing is reserved: whoever binds
    them next must be ready to find them taken.
    """
    with ExitStack() as stack:
        found: list[int] = []
        for port in wanted:
            probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            # As servers do: connections of an earlier server that still linger do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOCALHOST, port))
                probe.listen(1)
            except OSError:
                probe.close()
                probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                probe.bind((LOCALHOST, 0))
            found.append(int(probe.getsockname()[1]))
        return found
