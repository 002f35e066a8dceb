"""What waiting does not mend ends a start with its cause; an outage of Temporal does not."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    RemoveSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.plugin import SimplePlugin
from temporalio.worker import WorkerConfig
from typing_extensions import override

from pulse_temporal import ConfigurationError, HealthCheck, contract, create_engine
from pulse_temporal.embedded import EmbeddedServices, embedded_temporal
from pulse_temporal.embedded.ports import LOCALHOST, free_ports
from tests.harness import eventually, make_pulse

INT = IndexedValueType.INDEXED_VALUE_TYPE_INT
TEXT = IndexedValueType.INDEXED_VALUE_TYPE_TEXT
KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
PATIENCE = timedelta(seconds=60)
"""Reconnecting pauses up to 10 s."""

KEYWORDS = 10
"""As many as Temporal allows in a namespace on SQL."""


@pytest.fixture
async def temporal() -> AsyncGenerator[Client]:
    """Yield a client of a Temporal whose tenant attribute is removed."""
    port = free_ports([0])[0]
    with tempfile.TemporaryDirectory(prefix="pulse-", ignore_cleanup_errors=True) as folder:
        async with embedded_temporal(folder, port=port, ui=False, durable=False) as server:
            client = await Client.connect(server.address)
            await client.operator_service.remove_search_attributes(
                RemoveSearchAttributesRequest(
                    namespace="default", search_attributes=[contract.TENANT_ATTRIBUTE]
                )
            )
            yield client


async def add(client: Client, **types: IndexedValueType.ValueType) -> None:
    """Register search attributes."""
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace="default", search_attributes=types)
    )


async def refused_start(database: str, client: Client | str) -> str:
    """Start an engine that cannot, and give what it says."""
    engine = create_engine(database, client, queue_prefix="refused")
    with pytest.raises(ConfigurationError) as refused:
        await engine.start()
    return str(refused.value)


async def attributes(database: str, client: Client, *, status: str) -> HealthCheck:
    """Wait until the doctor finds the search attributes to be so."""
    engine = create_engine(database, client, queue_prefix="refused")

    async def ask() -> HealthCheck | None:
        report = await engine.check_health(compare=False)
        check = report.check("search_attributes")
        return check if check and check.status == status else None

    try:
        return await eventually(ask)
    finally:
        await engine.stop()


async def test_a_lazy_client(servers: EmbeddedServices, database: str) -> None:
    client = await Client.connect(servers.temporal_address, lazy=True)
    assert "lazy=True" in await refused_start(database, client)


async def test_a_lazy_client_is_good_enough_to_emit(
    servers: EmbeddedServices, database: str
) -> None:
    client = await Client.connect(servers.temporal_address, lazy=True)
    engine = create_engine(database, client, queue_prefix="lazy")
    await engine.start(worker=False)
    await engine.stop()


async def test_a_plugin_that_breaks_the_worker(servers: EmbeddedServices, database: str) -> None:
    class Broken(SimplePlugin):
        @override
        def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
            raise KeyError("tuner")

    client = await Client.connect(servers.temporal_address, plugins=[Broken("broken")])
    assert "KeyError: 'tuner'" in await refused_start(database, client)


async def test_a_worker_option_that_the_sdk_refuses(
    servers: EmbeddedServices, database: str
) -> None:
    class Wrong(SimplePlugin):
        @override
        def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
            return {**config, "max_workflow_task_external_storage_concurrency": 0}

    client = await Client.connect(servers.temporal_address, plugins=[Wrong("wrong")])
    assert "must be positive" in await refused_start(database, client)


@pytest.mark.parametrize("worker", [True, False])
async def test_a_namespace_that_is_missing(
    worker: bool, servers: EmbeddedServices, database: str
) -> None:
    engine = create_engine(database, servers.temporal_address, namespace="nowhere")
    with pytest.raises(ConfigurationError, match="no namespace 'nowhere'"):
        await engine.start(worker=worker)


async def test_tls_to_a_server_without_it(
    servers: EmbeddedServices, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_TLS", "true")
    assert "TLS settings do not fit" in await refused_start(database, servers.temporal_address)


async def test_a_key_that_cannot_be_read(
    servers: EmbeddedServices, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_TLS", "true")
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_CERT_DATA", "no certificate")
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_KEY_DATA", "no key")
    assert "TLS settings do not fit" in await refused_start(database, servers.temporal_address)


async def test_a_search_attribute_of_another_type(database: str, temporal: Client) -> None:
    await add(temporal, **{contract.TENANT_ATTRIBUTE: INT})
    check = await attributes(database, temporal, status="failed")

    said = await refused_start(database, temporal)

    for text in (check.summary, said):
        assert f"{contract.TENANT_ATTRIBUTE} (Int)" in text


async def test_a_search_attribute_of_a_type_that_will_do(database: str, temporal: Client) -> None:
    """Temporal takes our values as texts."""
    await add(temporal, **{contract.TENANT_ATTRIBUTE: TEXT})
    check = await attributes(database, temporal, status="warning")
    assert f"{contract.TENANT_ATTRIBUTE} (Text)" in check.summary
    pulse = make_pulse(database, temporal.service_client.config.target_host)
    pulse.action("pay")
    await pulse.define("order.paid", "pay")

    await pulse.engine.start()
    run = await pulse.emit_and_wait("order.paid")
    await pulse.engine.stop()

    assert run.status == "completed"


async def test_a_namespace_without_room_for_search_attributes(
    database: str, temporal: Client
) -> None:
    await add(temporal, **{f"Other{i}": KEYWORD for i in range(KEYWORDS - 2)})
    await attributes(database, temporal, status="warning")

    said = await refused_start(database, temporal)

    assert "cannot be created" in said
    assert contract.TENANT_ATTRIBUTE in said


async def test_a_fault_that_appears_later_is_logged_with_its_cause(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_ports([0])[0]
    engine = create_engine(database, f"{LOCALHOST}:{port}", namespace="nowhere")

    async def is_told() -> bool:
        return any("no namespace 'nowhere'" in record.message for record in caplog.records)

    with caplog.at_level(logging.ERROR, logger="pulse_temporal"):
        await engine.start()
        assert f"Temporal at {LOCALHOST}:{port} does not answer" in caplog.text
        async with embedded_temporal(tmp_path, port=port, ui=False, durable=False):
            await eventually(is_told, within=PATIENCE)
            await engine.stop()

    assert sum("no namespace" in record.message for record in caplog.records) == 1
