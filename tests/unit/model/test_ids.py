"""Identifiers say what they name and sort by the time of their making."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from pulse_temporal.model.ids import IdKind, new_id


@pytest.mark.parametrize("kind", get_args(IdKind))
def test_an_id_is_its_kind_and_a_version_seven_uuid(kind: IdKind) -> None:
    assert re.fullmatch(f"{kind}_[0-9a-f]{{12}}7[0-9a-f]{{3}}[89ab][0-9a-f]{{15}}", new_id(kind))


def test_ids_are_unique_and_sort_in_the_order_of_their_making() -> None:
    ids = [new_id("run") for _ in range(5000)]
    assert ids == sorted(set(ids))
