"""A run ends in one place: who adds what else is to happen then changes nothing but it."""

from __future__ import annotations

import re

import pytest

from pulse_temporal.store.fragments import expanded, fragments
from pulse_temporal.store.statements import written

RUN_END = expanded("{{run_end}}", known=fragments())
STATEMENTS = written()

UPDATE = re.compile(r"\bUPDATE\s+pulse_workflow_runs\b(.*?)(?=\bWHERE\b|;|\Z)", re.DOTALL)
INSERT = re.compile(r"\bINSERT\s+INTO\s+pulse_workflow_runs\s*\(([^)]*)\)")
STATUS = re.compile(r"(?<![\w.])status\s*=\s*(.*)")
MOMENT = re.compile(r"\b((?:completed|failed|canceled)_at)\s*=(?!\s*NULL\b)")
GOING_ON = (
    "'pending'",
    "'running'",
    "CASE WHEN r.status = 'pending' THEN 'running' ELSE r.status END",
    "v.status",  # of refresh_waiting: running or waiting
)


def ends_run(text: str) -> list[str]:
    """Return what in a statement ends a run, or may end one."""
    found = [
        f"a new run with {columns}" for columns in INSERT.findall(text) if "status" in columns
    ]
    for changed in UPDATE.findall(text):
        found += MOMENT.findall(changed)
        found += [
            status
            for status in STATUS.findall(changed)
            if not re.match(rf"(?:{'|'.join(map(re.escape, GOING_ON))})(?:,|$)", status)
        ]
        if re.search(r"\(\s*(?:\w+\s*,\s*)*status\b[^)]*\)\s*=", changed):
            found.append("status among other columns")
    return found


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_only_the_fragment_ends_a_run(name: str) -> None:
    assert not ends_run(STATEMENTS[name].replace(RUN_END, ""))


@pytest.mark.parametrize(
    "text",
    [
        RUN_END,
        "UPDATE pulse_workflow_runs AS r\nSET status = 'failed', updated_at = now()\nWHERE true",
        "UPDATE pulse_workflow_runs SET error_message = 'x', status = :status WHERE true",
        "UPDATE pulse_workflow_runs SET\n  status = CASE WHEN :e THEN 'failed' END\nWHERE true",
        "UPDATE pulse_workflow_runs SET canceled_at = now() WHERE true",
        "UPDATE pulse_workflow_runs SET (context, status) = ('{}', 'f') WHERE true",
        "INSERT INTO pulse_workflow_runs (id, status) VALUES (:id, 'failed')",
    ],
    ids=["fragment", "literal", "parameter", "case", "moment", "columns", "insert"],
)
def test_a_statement_that_ends_a_run_is_found(text: str) -> None:
    assert ends_run(text)


def test_runs_end_by_it() -> None:
    assert {name for name, text in STATEMENTS.items() if RUN_END in text} == {
        "attempts.record_success",
        "runs.cancel",
        "runs.fail",
        "runs.fail_unstarted",
        "runs.finish",
    }
