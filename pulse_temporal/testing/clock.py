"""The clock of Temporal's test server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.empty_pb2 import Empty
from temporalio.api.testservice.v1 import SleepRequest
from temporalio.client import Client


class TemporalClock:
    """Runs with real time, and jumps when it is told to.

    It jumps by exactly the time that was asked for. Left to itself, the server would skip on
    for years as soon as nothing is left to do.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    async def now(self) -> datetime:
        """Return the server's time, UTC."""
        answer = await self.client.test_service.get_current_time(Empty())
        return answer.time.ToDatetime(UTC)

    async def advance(self, by: timedelta, *, patience: timedelta) -> None:
        """Move the time on; timers that are due meanwhile fire in order.

        Raises:
            RPCError: An activity kept the server's time from moving for longer than
                ``patience``.
        """
        request = SleepRequest()
        request.duration.FromTimedelta(by)
        await self.client.test_service.unlock_time_skipping_with_sleep(request, timeout=patience)
