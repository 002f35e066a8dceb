"""Connect to Temporal, and tell what waiting mends from what a person must mend."""

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

log = logging.getLogger(__name__)

LOCAL = "localhost:7233"
CONNECT_PATIENCE = timedelta(seconds=10)
REASON = re.compile(r'message: "([^"]+)"')
"""The part of a failed connection's long text that people understand."""

WRONG_TLS = re.compile(
    r"InvalidMessage|InvalidCertificate|AlertReceived|KeyParseError|CertificateParseError"
)
"""What the SDK's TLS says of settings that do not fit the server; waiting does not mend them."""

TURNED_AWAY = re.compile(r"code: (?:Unauthenticated|PermissionDenied)")
"""What the SDK says when the server refuses the credentials of a new connection."""

CUT = "BrokenPipe"
"""What a server that expects TLS does to a connection without it, and a restarting one too."""


_CONVERTERS = tuple(PydanticPayloadConverter().converters.values())


class PayloadConverter(CompositePayloadConverter):
    """The SDK's converter for pydantic, with parts that are made once.

    The SDK makes a converter for every activation of a workflow, and a converter of its own would
    learn the types of payloads anew each time.
    """

    def __init__(self) -> None:
        super().__init__(*_CONVERTERS)


async def connect(
    target: str | Client | None, *, namespace: str, patience: timedelta = CONNECT_PATIENCE
) -> Client:
    """Connect to Temporal, or adapt the application's client to this library's payloads.

    Args:
        target: ``host:port``; a client, whose codec and interceptors stay; or None for
            what the environment and ``temporal.toml`` say (address, TLS, API key).
        namespace: Must exist; a client keeps its own.
        patience: Bound of the connection attempt.

    Raises:
        TemporalUnavailableError: No answer.
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
    except (RuntimeError, ValueError) as error:  # what the SDK raises for what it cannot read
        raise ConfigurationError(f"Temporal's configuration cannot be read: {error}") from error
    settings.setdefault("namespace", namespace)
    if target is not None or namespace != "default":
        settings["namespace"] = namespace
    address = settings["target_host"] = target or settings.get("target_host") or LOCAL
    try:
        async with asyncio.timeout(patience.total_seconds()):
            converter = DataConverter(payload_converter_class=PayloadConverter)
            return await Client.connect(**settings, data_converter=converter, runtime=_runtime())
    except TimeoutError as error:
        seconds = f"{patience.total_seconds():g} s"
        raise TemporalUnavailableError(
            f"Temporal at {address} does not answer within {seconds}."
        ) from error
    except (RuntimeError, ValueError, TypeError) as error:
        raise _failed_connection(str(error), address) from error


def _failed_connection(text: str, address: str) -> ConfigurationError | TemporalUnavailableError:
    """Return the error for what the SDK says of a failed connection, which is text alone."""
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


async def check_namespace(client: Client, *, patience: timedelta) -> None:
    """Do nothing when the client's namespace is there and may be used, as far as Temporal says.

    Raises:
        ConfigurationError: There is no such namespace, or the credentials are refused.
        RPCError: Anything else; try again.
    """
    where = f"Temporal at {address_of(client)}"
    request = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        await client.workflow_service.describe_namespace(request, timeout=patience)
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
    """Return the address that a client was made for."""
    return client.service_client.config.target_host


def is_lazy(client: Client) -> bool:
    """Return whether a client connects with its first call, which the SDK's workers refuse."""
    return client.service_client.config.lazy


@cache
def _runtime() -> Runtime:
    """Return the SDK's part in Rust, for this process's own connections.

    By default it writes warnings to standard output, such as the whole text of each workflow task
    that fails on purpose. A pipe there that nobody empties stops the worker. What matters of them
    is said by Python's loggers, of the SDK and ours.
    """
    level = TelemetryFilter(core_level="ERROR", other_level="ERROR")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=level)))


@cache
def _wait_at_exit() -> None:
    """Wait a moment when the interpreter ends: with the SDK's threads at work it may abort."""
    atexit.register(time.sleep, 0.1)
