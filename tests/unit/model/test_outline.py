"""The steps of a definition as a list."""

from __future__ import annotations

from pulse_temporal.model.outline import outline_of


def test_steps_are_listed_in_document_order_with_what_is_set_for_them() -> None:
    listed = outline_of(
        [
            {"type": "condition", "name": "due", "onFalse": "skip", "config": {"days": None}},
            {
                "type": "parallel",
                "name": "all",
                "branches": [
                    [{"type": "action", "name": "mail", "uses": "send", "timeoutMs": 5}],
                    [{"type": "delay", "name": "rest", "delayMs": 2_000, "retryPolicy": None}],
                ],
            },
        ]
    )

    assert [(step.path, step.depth, step.branch, step.name) for step in listed] == [
        ("0", 0, None, "due"),
        ("1", 0, None, "all"),
        ("1/b0/0", 1, 0, "mail"),
        ("1/b1/0", 1, 1, "rest"),
    ]
    assert [step.detail for step in listed] == [
        "if false: skips the next",
        "2 branches",
        "send",
        "2 s",
    ]
    assert [step.fields for step in listed] == [
        {"config": {"days": None}},
        {},
        {"timeoutMs": 5},
        {},
    ]


def test_what_is_no_step_of_this_release_is_listed_too() -> None:
    listed = outline_of([{"type": "loop", "name": "each", "over": "items"}, 7])

    assert [(step.kind, step.name) for step in listed] == [("loop", "each"), ("?", "?")]
    assert listed[0].fields == {"over": "items"}
