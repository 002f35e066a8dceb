"""Test your own definitions and handlers: real engine, real servers, a clock that jumps.

The extra ``[testing]`` brings Postgres and Temporal's test server. Then:

```python
from datetime import timedelta
from pulse_temporal.testing import PulseTestEnvironment, action, condition, delay

REMINDER = {
    "name": "Remind before the trial ends",
    "triggerType": "trial.started",
    "steps": [
        delay("three days", timedelta(days=3)),
        condition("still_on_trial"),
        action("send_email", retryPolicy={"maxAttempts": 3, "backoffMs": 60_000}),
    ],
}

async def test_the_reminder_is_sent_after_three_days():
    async with PulseTestEnvironment.start() as env:
        env.script_condition("still_on_trial", returns=True)
        email = env.script_action("send_email", returns={"id": 7}, fails=1)

        result = await env.run(REMINDER, {"payload": {"user": "ada"}})

        assert result.status == "completed"
        assert result.context == {"send_email": {"id": 7}}
        assert email.calls[0].trigger.payload == {"user": "ada"}
        assert result.lines == [
            "run_created",
            "step_scheduled three days",
            "step_completed three days",
            "step_started still_on_trial",
            "step_completed still_on_trial",
            "step_started send_email",
            "step_failed send_email",
            "step_started send_email",
            "step_completed send_email",
            "run_completed",
        ]
```

Your own handlers run with ``env.use(register)``; what reaches the outside world is scripted
afterwards. To look at a run in the middle of its life, move the clock by hand: ``env.settle()``,
``env.advance(timedelta(days=1))``; or hold a step up: ``env.script_gate("send_email")``.
A handler alone, without any server: ``handler_bench``.

With pytest, one line in ``conftest.py`` brings the fixture ``pulse_env``, a fresh environment
for each test: ``pytest_plugins = ["pulse_temporal.testing.plugin"]``.
"""

from __future__ import annotations

from pulse_temporal.testing.bench import HandlerBench, handler_bench
from pulse_temporal.testing.environment import PulseTestEnvironment
from pulse_temporal.testing.results import RunResult
from pulse_temporal.testing.scripts import Gate, Probe, ScriptedAction, ScriptedCondition
from pulse_temporal.testing.steps import StepLike, action, condition, delay, parallel
from pulse_temporal.testing.timelines import assert_timeline, timeline_lines

__all__ = [
    "Gate",
    "HandlerBench",
    "Probe",
    "PulseTestEnvironment",
    "RunResult",
    "ScriptedAction",
    "ScriptedCondition",
    "StepLike",
    "action",
    "assert_timeline",
    "condition",
    "delay",
    "handler_bench",
    "parallel",
    "timeline_lines",
]
