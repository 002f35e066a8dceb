"""Who changes something, and why: known while the change is made, and recorded with it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from pulse_temporal.errors import InvalidInputError
from pulse_temporal.model.canonical import scrub_text
from pulse_temporal.model.plain import cut_repr
from pulse_temporal.model.values import Name, Value

NOTE_BYTES = 1_000
"""Bound on a reason or a note, UTF-8; more is cut off."""


class Actor(Value):
    """Who acts: a person, a key, a program.

    Attributes:
        id: Stays the same for ever, for example ``user:ada@acme.example``.
        name: For people, for example ``Ada``.
        kind: What it is, for example ``user`` or ``key``; ``library`` is code that named nobody.
    """

    id: Name
    name: Name
    kind: Name = "user"


LIBRARY = Actor(id="library", name="library", kind="library")
"""Acts where nobody is named."""

_acts: ContextVar[Actor] = ContextVar("pulse_actor", default=LIBRARY)
_request: ContextVar[str | None] = ContextVar("pulse_request", default=None)


@contextmanager
def acting(actor: Actor, *, request_id: str | None = None) -> Generator[Actor]:
    """Name who makes the changes inside of the block; blocks may be nested.

    It holds for the task or thread that runs the block and for the tasks that it begins, so two
    requests that a server works on side by side do not meet. Versions of definitions record it,
    and so do the audit, and the timelines of runs that are canceled or retried.

    ```python
    with acting(Actor(id="user:ada@acme.example", name="Ada")):
        await engine.definitions.disable(definition_id, note="Too many alarms")
    ```

    Args:
        actor: Who acts.
        request_id: Of the request that asks for it, for the audit; cut at 1 000 bytes.

    Raises:
        InvalidInputError: It is no ``Actor``.
    """
    if not isinstance(actor, Actor):  # pyright: ignore[reportUnnecessaryIsInstance] - a mistake
        raise InvalidInputError(f"acting takes an Actor, not {cut_repr(actor)[:100]}.")
    token = _acts.set(actor)
    request_token = _request.set(noted(request_id))
    try:
        yield actor
    finally:
        _request.reset(request_token)
        _acts.reset(token)


def present_actor() -> Actor:
    """Return who acts now; ``LIBRARY`` outside of any ``acting``."""
    return _acts.get()


def present_request() -> str | None:
    """Return the id of the request that is worked on, if ``acting`` was told one."""
    return _request.get()


def named(by: str | None) -> str | None:
    """Return who a timeline names.

    Args:
        by: Given with the call, which wins; None: the name of who acts, if anybody was named.
    """
    if by is None:
        actor = present_actor()
        return None if actor == LIBRARY else actor.name
    return noted(by)


def noted(text: str | None) -> str | None:
    """Return a person's words as they are stored."""
    return scrub_text(text, max_bytes=NOTE_BYTES) if text is not None else None
