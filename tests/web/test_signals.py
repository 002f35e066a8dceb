"""The page of a signal says why it ran, and why not."""

from __future__ import annotations

from pulse_temporal.web import WebOptions, asgi
from tests.harness import TENANT, PulseTest
from tests.web.asking import ask


async def test_each_definition_has_its_reason(idle_pulse: PulseTest) -> None:
    idle_pulse.action("ship")
    await idle_pulse.define("order.paid", "ship", name="Ship it")
    await idle_pulse.define("order.paid", "ship", name="Only staging", environmentFilter="staging")
    await idle_pulse.define("order.paid", "ship", name="Old rule", isEnabled=False)
    trigger = await idle_pulse.emit("order.paid", environment="production")
    app = asgi(idle_pulse.engine, options=WebOptions())
    page = (await ask(app, f"/t/{TENANT}/signals/{trigger.id}")).text
    lines = page.partition('<ul class="verdicts">')[2].partition("</ul>")[0].split("<li>")[1:]
    assert "matched" in lines[0]
    assert "Ship it" in lines[0]
    assert f"/runs/{trigger.run_ids[0]}" in lines[0]
    told = "".join(lines[1:])
    assert told.count("not matched") == 2
    assert "staging" in told
    assert "disabled" in told


async def test_a_signal_that_nothing_waits_for_says_so(idle_pulse: PulseTest) -> None:
    idle_pulse.signal("order.lost")
    trigger = await idle_pulse.emit("order.lost")
    app = asgi(idle_pulse.engine, options=WebOptions())
    page = (await ask(app, f"/t/{TENANT}/signals/{trigger.id}")).text
    explanation = await idle_pulse.engine.explain(trigger.id)
    assert explanation.reason
    assert explanation.reason.replace("'", "&#39;").replace('"', "&#34;") in page
