"""Fragments of SQL: written out where they are named, known, used, and to be seen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pulse_temporal
from pulse_temporal.store.fragments import USE, Fragment, expanded, fragments
from pulse_temporal.store.statements import main, statements, written

QUERIES = Path(pulse_temporal.__file__).parent / "store" / "queries"
KNOWN = {
    "open": Fragment("open", None, "a = 1\n    AND b = 2"),
    "ended": Fragment("ended", "s", "s.is_ended OR class.x"),
    "either": Fragment("either", "r", "({{open}})\nOR {{ended(r)}}"),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WHERE {{open}};", "WHERE a = 1\n    AND b = 2;"),
        ("  WHERE {{open}}\n  x", "  WHERE a = 1\n      AND b = 2\n  x"),
        ("{{ended(s)}}, {{ended(t)}}", "s.is_ended OR class.x, t.is_ended OR class.x"),
        (" {{either(q)}}", " (a = 1\n     AND b = 2)\n OR q.is_ended OR class.x"),
        ("SELECT '{}', '{a}'", "SELECT '{}', '{a}'"),
    ],
    ids=["in a line", "indented", "rows", "one in another", "none"],
)
def test_a_fragment_is_written_out(text: str, expected: str) -> None:
    assert expanded(text, known=KNOWN) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{opened}}", r"No fragment is called opened; there are: either, ended, open\."),
        ("{{ended}}", r"The fragment ended is written {{ended\(s\)}}\."),
        ("{{open(r)}}", r"The fragment open is written {{open}}\."),
    ],
    ids=["unknown", "without its row", "with a row"],
)
def test_a_fragment_that_cannot_be_meant_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        expanded(text, known=KNOWN)


def test_every_fragment_is_used_and_none_is_left_over() -> None:
    texts = [path.read_text(encoding="utf-8") for path in QUERIES.glob("*.sql")]
    without_comments = [re.sub(r"--[^\n]*", "", text) for text in texts]
    used = {match[1] for text in without_comments for match in USE.finditer(text)}

    assert used == set(fragments())
    assert not [name for name, text in written().items() if "{{" in text]


def test_what_joins_the_context_is_said_once() -> None:
    said = [
        path.name
        for path in QUERIES.glob("*.sql")
        for _ in re.findall(r"step_type\s*=\s*'action'", path.read_text(encoding="utf-8"))
    ]

    assert said == ["fragments.sql"]


@pytest.mark.parametrize("name", ["claims.claim", "triggers.emit_tick", "transactions.mark"])
def test_a_statement_is_printed_for_psql(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([name])

    printed = capsys.readouterr().out
    assert printed.startswith(f"-- {name}\n")
    assert printed.endswith(written()[name] + "\n")
    statement = statements(prefix="pulse_", schema="public")[name]
    assert re.findall(r"^\\set (\w+) NULL$", printed, re.MULTILINE) == [*statement.parameters]


def test_without_a_name_the_names_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main([])

    assert capsys.readouterr().out.splitlines() == sorted(written())


@pytest.mark.parametrize("name", ["claims.clam", "claim", "steps.claim"])
def test_an_unknown_name_is_told_those_near_it(name: str) -> None:
    told = rf"No statement is called {name}\. Near: .*claims\.claim"
    with pytest.raises(SystemExit, match=told):
        main([name])
