"""Connect to Temporal, and tell outages, which pass, from faults that a person must mend."""

from __future__ import annotations

import asyncio
import atexit
import dataclasses
import logging
import re
import time
from datetime import timedelta
from functools import cache

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import CompositePayloadConverter, DataConverter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError, RPCStatusCode

from pulse_temporal.errors import ConfigurationError, TemporalUnavailableError
from pulse_temporal.temporal.attributes import HANDBOOK, MAY_NOT_ASK

log: logging.Logger = logging.getLogger(__name__)

LOCAL = "localhost:7233"
CONNECT_TIMEOUT = timedelta(seconds=10)
REASON = re.compile(r'message: "([^"]+)"')
"""Finds the readable part of the SDK's long text about a failed connection."""

WRONG_TLS = re.compile(
    r"InvalidMessage|InvalidCertificate|AlertReceived|KeyParseError|CertificateParseError"
)
"""Found in the SDK's text when TLS settings do not fit the server; waiting does not mend them."""

TURNED_AWAY = re.compile(r"code: (?:Unauthenticated|PermissionDenied)")
"""Found in the SDK's text when the server refuses the credentials of a new connection."""

CUT = "BrokenPipe"
"""Found when a server cuts the connection: because it expects TLS, or because it restarts. So it
is no permanent fault, only a reason for a hint."""


_CONVERTERS = tuple(PydanticPayloadConverter().converters.values())


class PayloadConverter(CompositePayloadConverter):
    """The SDK's converter for pydantic, with parts that are made once a process.

    The SDK makes a new converter for every activation of a workflow. Its pydantic converter would
    then build the validators of our payload types anew each time.
    """

    def __init__(self) -> None:
        super().__init__(*_CONVERTERS)


async def connect(
    target: str | Client | None, *, namespace: str, timeout: timedelta = CONNECT_TIMEOUT
) -> Client:
    """Connect to Temporal, or copy the application's client with our payload converter.

    Args:
        target: ``host:port``; a client, whose codec and interceptors stay; or None for
            what the environment and ``temporal.toml`` say (address, TLS, API key).
        namespace: Must exist. A client keeps its own; ``default`` gives way to the
            environment's when ``target`` is None.
        timeout: Bound of the connection attempt.

    Raises:
        TemporalUnavailableError: Temporal does not answer.
        ConfigurationError: The environment or ``temporal.toml`` cannot be read, or TLS, the
            certificate or the API key does not fit the server.
    """
    if isinstance(target, Client):
        converter = dataclasses.replace(
            target.data_converter, payload_converter_class=PayloadConverter
        )
        config = target.config()
        config["data_converter"] = converter
        return Client(**config)
    _wait_at_exit()
    try:
        settings = ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError) as error:  # the SDK raises either for what it cannot read
        raise ConfigurationError(f"Temporal's configuration cannot be read: {error}") from error
    settings.setdefault("namespace", namespace)
    if target is not None or namespace != "default":
        settings["namespace"] = namespace
    address = settings["target_host"] = target or settings.get("target_host") or LOCAL
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            converter = DataConverter(payload_converter_class=PayloadConverter)
            return await Client.connect(**settings, data_converter=converter, runtime=_runtime())
    except TimeoutError as error:
        seconds = f"{timeout.total_seconds():g} s"
        raise TemporalUnavailableError(
            f"Temporal at {address} does not answer within {seconds}."
        ) from error
    # The SDK raises RuntimeError for all failures to connect, the others for odd settings.
    except (RuntimeError, ValueError, TypeError) as error:
        raise _failed_connection(str(error), address) from error


def _failed_connection(text: str, address: str) -> ConfigurationError | TemporalUnavailableError:
    """Return the error for a failed connection.

    The SDK tells the cause only in the text of a RuntimeError, hence the patterns
    (``tests/integration/test_permanent_faults.py`` tries them against real servers).
    """
    found = REASON.search(text)
    reason = found[1] if found else text
    if WRONG_TLS.search(text):
        return ConfigurationError(
            f"The TLS settings do not fit Temporal at {address}: {text.rpartition(': ')[2]}. See"
            f" TEMPORAL_TLS* and temporal.toml in {HANDBOOK}."
        )
    if TURNED_AWAY.search(text):
        return ConfigurationError(
            f"Temporal at {address} refuses the credentials: {reason}. Is TEMPORAL_API_KEY, or"
            " the client certificate, the one of this namespace?"
        )
    hint = " Does it expect TLS (TEMPORAL_TLS=true)?" if CUT in text else ""
    return TemporalUnavailableError(f"Temporal at {address} does not answer: {reason}.{hint}")


async def check_namespace(client: Client, *, timeout: timedelta) -> None:
    """Check that the client's namespace exists and may be used, as far as we may ask.

    Raises:
        ConfigurationError: There is no such namespace, or the credentials are refused.
        RPCError: Any other failure; try again.
    """
    where = f"Temporal at {address_of(client)}"
    request = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        await client.workflow_service.describe_namespace(request, timeout=timeout)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise ConfigurationError(
                f"{where} has no namespace {client.namespace!r}: {error.message} Create it, or"
                " name another one (namespace=, PULSE_NAMESPACE, TEMPORAL_NAMESPACE)."
            ) from error
        if error.status == RPCStatusCode.UNAUTHENTICATED:
            raise ConfigurationError(
                f"{where} refuses the credentials for namespace {client.namespace!r}:"
                f" {error.message}"
            ) from error
        if error.status not in MAY_NOT_ASK:
            raise


def address_of(client: Client) -> str:
    """Return the ``host:port`` that a client was made for."""
    return client.service_client.config.target_host


def is_lazy(client: Client) -> bool:
    """Return whether a client connects only with its first call; the SDK's workers refuse one."""
    return client.service_client.config.lazy


@cache
def _runtime() -> Runtime:
    """Return the SDK's runtime (its part in Rust) for the connections that this process opens.

    The default one writes warnings to standard output, such as the whole text of each workflow
    task that we fail on purpose. If standard output is a pipe that nobody reads, it fills and
    the worker stops. What matters is also logged in Python, by the SDK or by us.
    """
    level = TelemetryFilter(core_level="ERROR", other_level="ERROR")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=level)))


@cache
def _wait_at_exit() -> None:
    """Make the interpreter wait 0.1 s before it ends.

    The SDK's threads may still use Python's lock while the interpreter shuts down, which aborts
    the process (exit status 134; temporalio/sdk-python issue 300).
    """
    atexit.register(time.sleep, 0.1)
