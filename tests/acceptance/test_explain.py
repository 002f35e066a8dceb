"""Why a signal started a run of a definition, and why it did not: as of its own moment."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pulse_temporal import (
    Explanation,
    Limits,
    NotFoundError,
    SignalError,
    SignalLimitError,
    TriggerEnvelope,
    TriggerInput,
    UnknownSignalError,
    Verdict,
)
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.model.ids import new_id
from pulse_temporal.services.definitions.ticks import SOURCE as CRON
from tests.harness import SOURCE, TENANT, PulseTest, make_pulse

SIGNAL: dict[str, object] = {"tenantId": TENANT, "source": SOURCE, "type": "heartbeat.missed"}


async def verdicts(
    pulse: PulseTest, signal: Mapping[str, object] | TriggerEnvelope | str
) -> dict[str, Verdict]:
    """Return the verdicts of an explanation by the names of the definitions."""
    told = await pulse.engine.explain(signal)
    return {each.definition_name: each for each in told.verdicts}


async def test_each_reason_is_told_in_words(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    named: dict[str, dict[str, object]] = {
        "On": {},
        "Elsewhere": {"environmentFilter": "staging"},
        "Of services": {"resourceTypeFilter": "service"},
        "Off": {"isEnabled": False, "environmentFilter": "staging"},
        "Gone": {},
    }
    made = {
        name: await idle_pulse.define("heartbeat.missed", tenant_id=TENANT, name=name, **fields)
        for name, fields in named.items()
    }
    await engine.delete_workflow(made["Gone"].id)
    signal = {**SIGNAL, "environment": "production", "resourceType": "db"}

    for explained in (signal, await engine.emit(signal)):
        told = await verdicts(idle_pulse, explained)
        assert {name: each.verdict for name, each in told.items()} == {
            "On": "matched",
            "Elsewhere": "environment",
            "Of services": "resource_type",
            "Off": "disabled",
            "Gone": "deleted",
        }
        assert told["Elsewhere"].reason == (
            'wants environment "staging", the signal has "production"'
        )
        assert told["Of services"].reason == ('wants resource type "service", the signal has "db"')
        assert told["Off"].reason.startswith("is disabled; wants environment")
        is_stored = isinstance(explained, TriggerEnvelope)
        assert told["On"].reason == ("started a run" if is_stored else "would start a run")
        assert told["On"].run_id == (explained.run_ids[0] if is_stored else None)


async def test_explaining_emits_nothing(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    await idle_pulse.define("heartbeat.missed")

    told = await idle_pulse.engine.explain(SIGNAL)

    assert (told.runs, told.outcome, told.signal_id, told.others) == (1, None, None, 0)
    assert await connection.fetchval("SELECT count(*) FROM pulse_triggers") == 0


async def test_later_changes_do_not_change_what_happened(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    ran = await idle_pulse.define("heartbeat.missed", name="Ran")
    off = await idle_pulse.define("heartbeat.missed", name="Off", isEnabled=False)
    other = await idle_pulse.define("other", name="Other")
    gone = await idle_pulse.define("heartbeat.missed", name="Gone", environmentFilter="x")
    trigger = await engine.emit(SIGNAL)
    before = await engine.explain(trigger.id)

    await engine.disable_workflow(ran.id)
    await engine.update_workflow(ran.id, {"triggerType": "other", "name": "Ran"})
    await engine.enable_workflow(off.id)
    await engine.update_workflow(off.id, {"environmentFilter": "x"})
    await engine.update_workflow(other.id, {"triggerType": "heartbeat.missed"})
    await engine.delete_workflow(gone.id)
    await idle_pulse.define("heartbeat.missed", name="Late")
    after = await engine.explain(trigger.id)

    told = {each.definition_name: (each.verdict, each.version) for each in after.verdicts}
    assert told == {
        "Ran": ("matched", 1),
        "Off": ("disabled", 1),
        "Other": ("type", 1),
        "Gone": ("environment", 1),
        "Late": ("created_later", None),
    }
    kept = [each for each in after.verdicts if each.definition_name in {"Ran", "Off", "Gone"}]
    assert kept == list(before.verdicts)
    assert (after.runs, after.at) == (1, trigger.created_at)
    reason = next(each for each in after.verdicts if each.definition_name == "Other").reason
    assert reason == 'waits for "other", the signal is "heartbeat.missed"'


async def test_what_is_not_on_record_is_not_guessed(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    engine = idle_pulse.engine
    ran = await idle_pulse.define("heartbeat.missed", name="Ran")
    off = await idle_pulse.define("heartbeat.missed", name="Off", isEnabled=False)
    trigger = await engine.emit(SIGNAL)
    for made in (ran, off):
        await engine.update_workflow(made.id, {"isEnabled": True, "config": {"a": 1}})
    await connection.execute("DELETE FROM pulse_definition_versions")

    told = await verdicts(idle_pulse, trigger.id)

    assert (told["Ran"].verdict, told["Ran"].version) == ("matched", 1)
    assert (told["Off"].verdict, told["Off"].version) == ("changed_then", None)


async def test_a_change_in_the_signals_own_transaction_is_told(
    idle_pulse: PulseTest,
) -> None:
    """The signal's moment is the begin of its transaction, when the definition still was on."""
    made = await idle_pulse.define("heartbeat.missed")
    async with idle_pulse.engine.transaction() as connection:
        await connection.fetchval("SELECT now()")
        await idle_pulse.engine.disable_workflow(made.id)
        trigger = await idle_pulse.engine.emit(SIGNAL, connection=connection)

    (verdict,) = (await idle_pulse.engine.explain(trigger.id)).verdicts

    assert (trigger.run_ids, verdict.verdict) == ((), "changed_then")
    assert "at about the moment" in verdict.reason


async def test_a_misspelled_type_names_the_definitions_that_may_be_meant(
    idle_pulse: PulseTest,
) -> None:
    await idle_pulse.define("heartbeat.missed", name="Incident")
    await idle_pulse.define("order.paid", name="Receipt")
    idle_pulse.signal("heartbeat.mised")
    signal = {**SIGNAL, "type": "heartbeat.mised"}

    for explained in (signal, await idle_pulse.engine.emit(signal)):
        told = await idle_pulse.engine.explain(explained)
        assert (told.outcome, told.runs) == ("no_definitions", 0)
        assert 'Did you mean "heartbeat.missed"?' in (told.reason or "")
        assert [each.definition_name for each in told.verdicts] == ["Incident"]
        assert told.verdicts[0].verdict == "type"


async def test_without_definitions_that_is_what_is_told(idle_pulse: PulseTest) -> None:
    idle_pulse.signal("heartbeat.missed")

    told = await idle_pulse.engine.explain(SIGNAL)

    assert (told.outcome, told.verdicts) == ("no_definitions", ())


async def test_what_emit_would_refuse_is_told_or_refused(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    await idle_pulse.define("heartbeat.missed")
    misspelled = {**SIGNAL, "type": "heartbeat.mised"}

    told = await engine.explain(misspelled)

    with pytest.raises(UnknownSignalError) as refused:
        await engine.emit(misspelled)
    assert (told.outcome, told.reason, told.runs) == ("unregistered", str(refused.value), 0)
    for wrong in ({**SIGNAL, "source": "x"}, {**SIGNAL, "typ": "x"}, {"tenantId": TENANT}):
        with pytest.raises(SignalError):
            await engine.explain(wrong)
    with pytest.raises(NotFoundError):
        await engine.explain("trg_x")


async def test_an_idempotency_key_that_is_taken_decides(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    await idle_pulse.define("heartbeat.missed")
    keyed = {**SIGNAL, "idempotencyKey": "k"}
    first = await engine.emit(keyed)

    again = await engine.explain(keyed)
    other = await engine.explain({**keyed, "payload": {"a": 1}})
    elsewhere = await engine.explain({**keyed, "tenantId": "globex"})

    assert (again.outcome, again.signal_id, again.runs) == ("deduplicated", first.id, 0)
    assert (other.outcome, other.signal_id) == ("deduplicated", first.id)
    assert "content differs" in (other.reason or "")
    assert elsewhere.outcome == "no_definitions"


async def test_a_signal_that_would_start_too_much_starts_nothing(
    servers: EmbeddedServices, database: str
) -> None:
    pulse = make_pulse(database, servers.temporal_address, limits=Limits(runs_per_signal=2))
    for _ in range(3):
        await pulse.define("heartbeat.missed")

    told = await pulse.engine.explain(SIGNAL)

    with pytest.raises(SignalLimitError) as refused:
        await pulse.engine.emit(SIGNAL)
    assert (told.outcome, told.runs) == ("over_limits", 0)
    assert "limits.runs_per_signal allows 2" in (told.reason or "")
    assert "limits.runs_per_signal allows 2" in str(refused.value)
    await pulse.engine.stop()


async def test_a_tick_is_for_its_owner_and_for_those_without_a_cron(
    idle_pulse: PulseTest,
) -> None:
    engine = idle_pulse.engine
    owner = await idle_pulse.define("nightly", name="Owner", cronExpression="0 3 * * *")
    await idle_pulse.define("nightly", name="Other cron", cronExpression="0 4 * * *")
    await idle_pulse.define("nightly", name="Listener")
    tick = {
        "tenantId": TENANT,
        "source": CRON,
        "type": "nightly",
        "payload": {"scheduledAt": "2026-01-01T03:00:00Z", "definitionId": owner.id},
        "idempotencyKey": f"cron:{owner.id}:2026-01-01T03:00:00Z",
    }
    emitter = engine._parts.emitter  # pyright: ignore[reportPrivateUsage] - Temporal would tick at night
    trigger = await emitter.emit_tick(TriggerInput.model_validate(tick), owner=owner.id)

    told = await verdicts(idle_pulse, trigger.id)

    assert {name: each.verdict for name, each in told.items()} == {
        "Owner": "matched",
        "Listener": "matched",
        "Other cron": "cron_owned",
    }


async def test_replays_do_not_count(idle_pulse: PulseTest) -> None:
    engine = idle_pulse.engine
    made = await idle_pulse.define("heartbeat.missed", isEnabled=False)
    trigger = await engine.emit(SIGNAL)
    await engine.enable_workflow(made.id)
    assert len(await engine.replay(trigger.id)) == 1

    told = await engine.explain(trigger.id)

    assert (told.runs, told.verdicts[0].verdict) == (0, "disabled")


async def test_many_candidates_are_counted(
    idle_pulse: PulseTest, connection: asyncpg.Connection
) -> None:
    made = await idle_pulse.define("heartbeat.missed", isEnabled=False)
    await connection.execute(
        "INSERT INTO pulse_workflow_definitions (id, tenant_id, name, trigger_type, steps)"
        " SELECT 'wfd_' || n, tenant_id, name, trigger_type, steps"
        " FROM pulse_workflow_definitions, generate_series(1, 250) AS n"
    )
    on = await idle_pulse.define("heartbeat.missed")

    told = await idle_pulse.engine.explain(SIGNAL)

    assert (len(told.verdicts), told.others, told.runs) == (200, 52, 1)
    assert told.verdicts[0].definition_id == on.id
    kinds = {each.definition_id: each.verdict for each in told.verdicts}
    assert kinds["wfd_1"] == "not_adopted"
    assert kinds[made.id] == "disabled"


async def test_another_tenants_signal_is_an_unknown_one(idle_pulse: PulseTest) -> None:
    await idle_pulse.define("heartbeat.missed", tenant_id="globex")
    trigger = await idle_pulse.emit("heartbeat.missed", tenant_id="globex")
    acme = idle_pulse.engine.for_tenant("acme")

    messages: set[str] = set()
    for trigger_id in (trigger.id, "trg_absent"):
        with pytest.raises(NotFoundError) as refused:
            await acme.explain(trigger_id)
        messages.add(str(refused.value).replace(trigger_id, "ID"))
    with pytest.raises(NotFoundError):
        await acme.explain(trigger)
    assert len(messages) == 1
    signal = {name: value for name, value in SIGNAL.items() if name != "tenantId"}
    assert (await acme.explain(signal)).verdicts == ()


WORDS = st.sampled_from(["a", "b"])
MAYBE = st.none() | WORDS
DEFINITIONS = st.fixed_dictionaries(
    {
        "triggerType": st.sampled_from(["one", "two"]),
        "environmentFilter": MAYBE,
        "resourceTypeFilter": MAYBE,
        "isEnabled": st.booleans(),
        "cronExpression": st.none() | st.just("0 0 29 2 *"),
    }
)
SIGNALS = st.fixed_dictionaries(
    {"type": st.just("one"), "environment": MAYBE, "resourceType": MAYBE}
)


def matched(told: Explanation) -> set[str]:
    """Return the ids of the definitions that have started, or would."""
    return {each.definition_id for each in told.verdicts if each.verdict == "matched"}


@settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    made=st.lists(DEFINITIONS, min_size=1, max_size=6),
    changes=st.lists(st.sampled_from(["delete", "disable", "enable"]) | DEFINITIONS, max_size=6),
    signal=SIGNALS,
)
async def test_what_is_explained_is_what_happens(
    idle_pulse: PulseTest,
    made: list[dict[str, object]],
    changes: list[str | dict[str, object]],
    signal: dict[str, object],
) -> None:
    """Matched means that emit starts a run, before and after; later changes change nothing."""
    engine = idle_pulse.engine
    tenant_id = new_id("run")
    for type_ in ("one", "two"):
        idle_pulse.signal(type_)
    content: dict[str, object] = {"tenantId": tenant_id, "name": "n", "steps": []}
    ids = [(await engine.create_workflow({**content, **each})).id for each in made]
    emitted = {"tenantId": tenant_id, "source": SOURCE, **signal}

    foretold = await engine.explain(emitted)
    trigger = await engine.emit(emitted)
    told = await engine.explain(trigger.id)

    runs = [await engine.get_run(run_id) for run_id in trigger.run_ids]
    started = {run.definition_id for run in runs if run}
    assert matched(foretold) == matched(told) == started
    assert foretold.runs == told.runs == len(trigger.run_ids)

    for position, change in enumerate(changes):
        target = ids[position % len(ids)]
        if await engine.get_workflow(target) is None:
            continue
        if isinstance(change, dict):
            await engine.update_workflow(target, change)
        else:
            await getattr(engine, f"{change}_workflow")(target)
    afterwards = {each.definition_id: each for each in (await engine.explain(trigger.id)).verdicts}
    assert {each.definition_id: each for each in told.verdicts}.items() <= afterwards.items()
    new = afterwards.keys() - {each.definition_id for each in told.verdicts}
    assert {afterwards[definition_id].verdict for definition_id in new} <= {"type", "deleted"}
