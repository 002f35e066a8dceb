"""Programs come in with an API key."""

from __future__ import annotations

from datetime import timedelta

import pytest
from starlette.requests import Request

from pulse_temporal.clock import utc_now
from pulse_temporal.services.people import api_keys
from pulse_temporal.web import Principal, WebOptions, asgi
from tests.harness import TENANT, PulseTest
from tests.web.asking import Answer, ask


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look keys up each time, as after ten seconds."""
    monkeypatch.setattr(api_keys, "REMEMBERED", timedelta())


async def nobody(_request: Request) -> Principal | None:
    """Recognise no one."""
    return None


async def asked(pulse: PulseTest, token: str, path: str = f"/t/{TENANT}/runs") -> Answer:
    app = asgi(pulse.engine, authenticate=nobody, options=WebOptions(hosts="*"))
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await ask(app, path, headers=headers, client="10.0.0.9")


async def test_a_key_sees_what_its_tenant_and_its_scopes_allow(idle_pulse: PulseTest) -> None:
    made = await idle_pulse.engine.create_api_key("ci", scopes=["runs:read"], tenant_id=TENANT)

    assert (await asked(idle_pulse, made.token)).status == 200
    assert (await asked(idle_pulse, made.token, f"/t/{TENANT}/signals/trg_1")).status == 403
    assert (await asked(idle_pulse, made.token, "/t/theirs/runs")).status == 404
    assert (await asked(idle_pulse, "")).status == 401


async def test_a_key_of_all_tenants_sees_each(idle_pulse: PulseTest) -> None:
    made = await idle_pulse.engine.create_api_key("ci", scopes=["runs:read"])

    assert (await asked(idle_pulse, made.token, "/t/theirs/runs")).status == 200


async def test_a_key_that_is_over_is_refused_and_told_why(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    revoked = await engine.create_api_key("old", scopes=["runs:read"], tenant_id=TENANT)
    await engine.revoke_api_key(revoked.key.id)
    expiring = await engine.create_api_key(
        "brief", scopes=["runs:read"], expires_at=utc_now() + timedelta(milliseconds=1)
    )

    answers = [await asked(idle_pulse, each.token) for each in (revoked, expiring)]
    wrong = await asked(idle_pulse, revoked.token[:-1] + "x" * (revoked.token[-1] != "x"))

    assert [answer.status for answer in (*answers, wrong)] == [401, 401, 401]
    assert len({answers[0].text, answers[1].text, wrong.text}) == 3


async def test_what_is_no_key_is_refused_even_at_this_machine(idle_pulse: PulseTest) -> None:
    app = asgi(idle_pulse.engine, options=WebOptions())
    path = f"/t/{TENANT}/runs"

    assert (await ask(app, path)).status == 200
    assert (await ask(app, path, headers={"authorization": "Bearer other"})).status == 401
