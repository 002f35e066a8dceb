"""The demo's sample application: two workflows, two tenants, and how their runs must end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pulse_temporal.engine.facade import Engine
from pulse_temporal.handlers.context import WorkflowContext
from pulse_temporal.model.definitions import WorkflowInput
from pulse_temporal.model.runs import StepStatus
from pulse_temporal.model.signals import TriggerInput
from pulse_temporal.model.steps import (
    ActionStep,
    ConditionStep,
    DelayStep,
    ParallelStep,
    RetryPolicy,
    WorkflowStep,
)

TENANTS = ("workspace_1", "workspace_2")
RECOVERED = "web-shop"
"""The service that is up again before its condition is asked."""

SLACK_OUTAGE = "workspace_1"
"""The tenant for which the first call to Slack fails."""


# The application: handlers that would call its own services.


async def service_still_down(ctx: WorkflowContext) -> bool:
    """Return whether the service is still down."""
    await asyncio.sleep(0.25)
    return ctx.trigger.resource_id != RECOVERED


async def create_incident(ctx: WorkflowContext) -> dict[str, object]:
    """Open an incident."""
    await asyncio.sleep(0.4)
    incident = f"INC-{ctx.run.id[-4:].upper()}"
    ctx.log("Incident created", {"incident": incident, "severity": ctx.config["severity"]})
    return {"incidentId": incident}


async def notify_oncall(ctx: WorkflowContext) -> dict[str, object]:
    """Page the person on call about the incident of an earlier step."""
    await asyncio.sleep(0.5)
    return {"paged": ctx.run.context["create_incident"]}


async def send_email(ctx: WorkflowContext) -> dict[str, object]:
    """Send an email."""
    await asyncio.sleep(0.7)
    return {"to": ctx.config["alertEmail"]}


async def send_slack(ctx: WorkflowContext) -> dict[str, object]:
    """Post to Slack, which fails once for one tenant."""
    await asyncio.sleep(0.4)
    if ctx.tenant_id == SLACK_OUTAGE and ctx.step.attempt == 1:
        raise ConnectionError("Slack answered 503")
    return {"channel": ctx.config["slackChannel"]}


async def send_sms(ctx: WorkflowContext) -> dict[str, object]:
    """Send a text message."""
    await asyncio.sleep(1.1)
    return {"number": ctx.config["phoneNumber"]}


async def mark_notified(ctx: WorkflowContext) -> dict[str, object]:
    """Return which channels have worked, by the results in the run's context."""
    await asyncio.sleep(0.3)
    channels = [
        name for name in ("send_email", "send_slack", "send_sms") if name in ctx.run.context
    ]
    ctx.log("Told everyone", {"channels": len(channels)})
    return {"channels": channels}


def register(engine: Engine) -> None:
    """Register the signals and handlers of the sample application."""
    engine.register_trigger("heartbeat.missed", source="heartbeat", resource_type="service")
    engine.register_trigger("alert.triggered", source="monitoring")
    engine.register_condition("service_still_down", service_still_down)
    engine.register_action("create_incident", create_incident, replay_safe=True)
    engine.register_action("notify_oncall", notify_oncall)
    engine.register_action("send_email", send_email)
    engine.register_action("send_slack", send_slack)
    engine.register_action("send_sms", send_sms)
    engine.register_action("mark_notified", mark_notified, replay_safe=True)


# The workflows: data that the tenants own.

INCIDENT = "Incident on missed heartbeat"
INCIDENT_STEPS: Sequence[WorkflowStep] = (
    DelayStep(name="wait_2s", delay_ms=2_000),
    ConditionStep(name="service_still_down"),
    ActionStep(name="create_incident"),
    ActionStep(name="notify_oncall"),
)

ALERT = "Multi-channel alert"
ALERT_STEPS: Sequence[WorkflowStep] = (
    ParallelStep(
        name="notify_all",
        branches=[
            [ActionStep(name="send_email")],
            [
                ActionStep(
                    name="send_slack", retry_policy=RetryPolicy(max_attempts=3, backoff_ms=600)
                )
            ],
            [ActionStep(name="send_sms")],
        ],
    ),
    ActionStep(name="mark_notified"),
)


def definitions(tenant_id: str) -> list[WorkflowInput]:
    """Return the workflows of one tenant."""
    return [
        WorkflowInput(
            tenant_id=tenant_id,
            name=INCIDENT,
            trigger_type="heartbeat.missed",
            environment_filter="production",
            steps=list(INCIDENT_STEPS),
            config={"severity": "high"},
        ),
        WorkflowInput(
            tenant_id=tenant_id,
            name=ALERT,
            trigger_type="alert.triggered",
            steps=list(ALERT_STEPS),
            config={
                "alertEmail": "oncall@example.com",
                "slackChannel": "#alerts",
                "phoneNumber": "+15550100",
            },
        ),
    ]


# The signals, and how their runs must end.


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One signal of the demo and the run that it starts.

    Attributes:
        workflow: Name of the tenant's definition that it matches.
        moral: What the run shows, in a few words.
        steps: How each step must end, by name; the run itself must complete.
        failed_attempts: How many attempts must fail on the way.
    """

    signal: TriggerInput
    workflow: str
    moral: str
    steps: Mapping[str, StepStatus]
    failed_attempts: int = 0


def heartbeat(tenant_id: str, service: str) -> TriggerInput:
    """Return the signal that a service has missed its heartbeat."""
    return TriggerInput(
        tenant_id=tenant_id,
        source="heartbeat",
        type="heartbeat.missed",
        resource_type="service",
        resource_id=service,
        environment="production",
        payload={"missed": 3},
    )


def alert(tenant_id: str) -> TriggerInput:
    """Return the signal that an alert went off."""
    return TriggerInput(
        tenant_id=tenant_id,
        source="monitoring",
        type="alert.triggered",
        payload={"title": "Error rate above 5 %"},
    )


ALL_SENT: Mapping[str, StepStatus] = {
    "notify_all": "completed",
    "send_email": "completed",
    "send_slack": "completed",
    "send_sms": "completed",
    "mark_notified": "completed",
}

ACTS = (
    Act(
        signal=heartbeat(TENANTS[0], "api-server"),
        workflow=INCIDENT,
        moral="incident opened, on-call paged",
        steps={
            "wait_2s": "completed",
            "service_still_down": "completed",
            "create_incident": "completed",
            "notify_oncall": "completed",
        },
    ),
    Act(
        signal=heartbeat(TENANTS[1], RECOVERED),
        workflow=INCIDENT,
        moral="service was back, done early",
        steps={
            "wait_2s": "completed",
            "service_still_down": "completed",
            "create_incident": "skipped",
            "notify_oncall": "skipped",
        },
    ),
    Act(
        signal=alert(TENANTS[0]),
        workflow=ALERT,
        moral="Slack failed once, was retried",
        steps=ALL_SENT,
        failed_attempts=1,
    ),
    Act(
        signal=alert(TENANTS[1]),
        workflow=ALERT,
        moral="three channels at once",
        steps=ALL_SENT,
    ),
)
"""In the order of the screen: row by row, with a column for each tenant."""
