"""The timeline is ordered by the counter of the database and names its steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from pulse_temporal.model.runs import ExecutionLog, WorkflowStepRun
from pulse_temporal.model.timeline import TimelineEntryType, TimelineEvent, build_timeline
from pulse_temporal.model.values import JsonObject

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def event(seq: int, kind: TimelineEntryType, path: str | None = None) -> TimelineEvent:
    return TimelineEvent(
        seq=seq, kind=kind, path=path, at=NOW - timedelta(seconds=seq), detail={"seq": seq}
    )


def log(seq: int, step_run_id: str | None = None, *, data: bool = False) -> ExecutionLog:
    return ExecutionLog(
        id=f"log_{seq}",
        run_id="run_1",
        step_run_id=step_run_id,
        tenant_id="acme",
        level="info",
        message=f"line {seq}",
        data={"seq": seq} if data else None,
        created_at=NOW,
        seq=seq,
    )


def step(path: str, index: int, name: str) -> WorkflowStepRun:
    return WorkflowStepRun(
        id=f"stp_{path}",
        run_id="run_1",
        tenant_id="acme",
        step_index=index,
        step_type="action",
        step_name=name,
        status="completed",
        path=path,
        created_at=NOW,
    )


@given(st.permutations(range(12)), st.integers(0, 12))
def test_order_is_by_seq_whatever_the_clocks_say(order: list[int], cut: int) -> None:
    events = [event(seq, "step_started", "0") for seq in order[:cut]]
    logs = [log(seq, data=True) for seq in order[cut:]]
    entries = build_timeline(events, [], logs)
    assert [seq_of(entry.detail) for entry in entries] == list(range(12))


def seq_of(detail: JsonObject) -> JsonValue:
    data = detail.get("data", detail)
    assert isinstance(data, dict)
    return data["seq"]


def test_entries_name_their_step_and_run_entries_do_not() -> None:
    entries = build_timeline(
        [event(1, "run_created"), event(2, "step_started", "1/b0/0"), event(9, "run_completed")],
        [step("0", 0, "charge"), step("1/b0/0", 0, "receipt")],
        [log(3, "stp_1/b0/0", data=True), log(4)],
    )
    told = [(e.type, e.path, e.step_index, e.step_name, e.step_type) for e in entries]
    assert told == [
        ("run_created", None, None, None, None),
        ("step_started", "1/b0/0", 0, "receipt", "action"),
        ("log", "1/b0/0", 0, "receipt", "action"),
        ("log", None, None, None, None),
        ("run_completed", None, None, None, None),
    ]
    assert entries[2].detail == {"level": "info", "message": "line 3", "data": {"seq": 3}}
    assert entries[3].detail == {"level": "info", "message": "line 4"}
    assert entries[0].timestamp == NOW - timedelta(seconds=1)


def test_an_event_of_a_step_without_a_row_keeps_its_path() -> None:
    (entry,) = build_timeline([event(1, "step_failed", "5")], [], [])
    assert (entry.path, entry.step_name) == ("5", None)
