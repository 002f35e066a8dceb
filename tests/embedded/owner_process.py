"""A program that owns embedded servers: prints where they are, then waits to be ended.

    python owner_process.py FOLDER [--deny-namespaces] [--fork]

Standard input is its leash: it stops the servers when that ends or says anything.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import platform
import signal
import struct
import sys

from pulse_temporal.embedded import embedded_services

UNSHARE_CALL = {"x86_64": 272, "aarch64": 97}
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2


def deny_namespaces() -> None:
    """Make unshare(2) fail with EPERM from here on, as container runtimes do."""
    call = UNSHARE_CALL[platform.machine()]
    program = [
        (0x20, 0, 0, 0),  # load the number of the system call
        (0x15, 0, 1, call),  # is it unshare?
        (0x06, 0, 0, 0x00050001),  # yes: EPERM
        (0x06, 0, 0, 0x7FFF0000),  # no: go on
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    if ctypes.CDLL(None).prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0) != 0:
        raise OSError("seccomp refused the filter")


def fork_idle_child() -> int:
    """Leave a plain fork of this process behind, as multiprocessing does."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    return pid


async def own(folder: str, *, fork: bool) -> None:
    """Run the servers until standard input ends."""
    async with embedded_services(folder, ui=False) as services:
        assert services.temporal is not None
        report = {
            "dsn": services.dsn,
            "temporal_address": services.temporal_address,
            "pids": [services.postgres.pid, services.temporal.pid],
            "child": fork_idle_child() if fork else None,
        }
        sys.stdout.write(f"{json.dumps(report)}\n")
        sys.stdout.flush()
        leash = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), leash.set)
        await leash.wait()


def main() -> None:
    """Read the command line and own the servers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--deny-namespaces", action="store_true")
    parser.add_argument("--fork", action="store_true")
    options = parser.parse_args()
    if options.deny_namespaces:
        deny_namespaces()
    asyncio.run(own(options.folder, fork=options.fork))


if __name__ == "__main__":
    main()
