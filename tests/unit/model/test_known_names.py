"""Names that only processes know are looked up, whatever else is wrong with a definition."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pulse_temporal.model.known_names import KnownNames, handler_findings

KNOWN = KnownNames(
    actions={"send_mail"},
    conditions=["is_due"],
    signals=(),
    registrations={},
    accepts_any_signal=False,
)


def definition(*steps: object) -> Mapping[str, object]:
    """Return a definition of these steps that is nothing else."""
    return {"steps": list(steps)}


def action(name: object, **fields: object) -> dict[str, object]:
    """Write an action."""
    return {"type": "action", "name": name, **fields}


def test_unknown_handlers_are_found_with_hints() -> None:
    found = handler_findings(
        definition(
            action("send_mail"),
            action("x", uses="send_mial"),
            {"type": "condition", "name": "send_mail2", "uses": "send_mail"},
            {
                "type": "parallel",
                "name": "p",
                "branches": [[action("is_due")], [{"type": "delay", "name": "d", "delayMs": 1}]],
            },
            {"type": "condition", "name": "zzz"},
        ),
        KNOWN,
    )

    assert [(each.place, each.message, each.hint) for each in found] == [
        (
            ("steps", 1, "uses"),
            'no action named "send_mial" is registered',
            'Did you mean "send_mail"?',
        ),
        (
            ("steps", 2, "uses"),
            'no condition named "send_mail" is registered',
            'An action has that name. Did you mean "type": "action"?',
        ),
        (
            ("steps", 3, "branches", 0, 0, "name"),
            'no action named "is_due" is registered',
            'A condition has that name. Did you mean "type": "condition"?',
        ),
        (("steps", 4, "name"), 'no condition named "zzz" is registered', None),
    ]


def test_unknown_handlers_are_told_up_to_a_hundred_and_one() -> None:
    assert len(handler_findings(definition(*[action(f"s{i}") for i in range(300)]), KNOWN)) == 101


@pytest.mark.parametrize(
    "steps",
    [
        None,
        "send",
        5,
        [None, 5, "x", []],
        [{}],
        [{"type": "action"}],
        [action(None), action(5), action(""), action("x" * 201), action("a\ud800"), action("a\n")],
        [{"type": ["action"], "name": "x"}],
        [{"type": "parallel", "branches": 5}, {"type": "parallel", "branches": [5, None]}],
    ],
)
def test_values_that_are_no_names_are_left_to_other_checks(steps: object) -> None:
    assert handler_findings({"steps": steps}, KNOWN) == []


def test_while_no_handler_is_known_no_name_is_wrong() -> None:
    nobody = KnownNames((), (), (), {}, accepts_any_signal=False)

    assert handler_findings(definition(action("x")), nobody) == []
