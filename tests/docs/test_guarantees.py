"""Each guarantee names its mechanism and the tests that attack it, and those exist."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.docs.pages import ROOT
from tests.docs.test_parity import PROOF, TESTS, names_of_tests

PAGE = ROOT / "docs" / "operate" / "guarantees.md"
SECTION = re.compile(r"^## (?P<title>[^\n]+)\n(?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ATTACKS = "*Attacked by*"


def guarantees() -> Iterator[tuple[str, str]]:
    """Yield title and text of every guarantee."""
    for match in SECTION.finditer(PAGE.read_text(encoding="utf-8")):
        if match["title"] != "Not promised":
            yield match["title"], match["text"]


def test_guarantees_are_numbered_and_what_is_not_promised_is_said() -> None:
    titles = [title.split()[0] for title, _ in guarantees()]
    assert titles == [f"G{number}" for number in range(1, len(titles) + 1)]
    assert "## Not promised" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(("title", "text"), list(guarantees()), ids=lambda value: value[:30])
def test_a_guarantee_says_why_and_names_tests_that_exist(title: str, text: str) -> None:
    promise, mechanism, attacks = text.strip().split("\n\n")
    assert promise.startswith("**"), title
    assert mechanism.count(". ") <= 2, f"{title}: the mechanism in two sentences or three"
    assert attacks.startswith(ATTACKS), title
    proofs = PROOF.findall(attacks)
    assert proofs, title
    missing = [
        f"{path}::{name}" for path, name in proofs if name not in names_of_tests(TESTS / path)
    ]
    assert not missing
