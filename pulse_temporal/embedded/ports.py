"""Find free TCP ports of 127.0.0.1."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import ExitStack

LOCALHOST = "127.0.0.1"


def free_ports(wanted: Sequence[int]) -> list[int]:
    """Return a free port for each wanted one: that port itself, or another if it is taken.

    0 asks for any. The ports differ from each other. Nothing is reserved: the caller must be
    ready to find a port taken when it binds it.
    """
    with ExitStack() as stack:  # all stay open to the end, or one port might be found twice
        found: list[int] = []
        for port in wanted:
            probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            # As servers do; or a port would look taken by lingering connections of an earlier
            # server (tests/embedded/test_temporal_server.py).
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
