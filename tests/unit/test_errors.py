"""Every error of the tree survives a process boundary, and can be imported by its public name."""

import copy
import inspect
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import partial
from multiprocessing import get_context

import pytest

import pulse_temporal
from pulse_temporal import Problem, PulseError, RetryAfterError, errors

PRIVATE = {"FailpointError"}
"""Raised only where a test has armed a failpoint."""

SAMPLES: dict[str, object] = {
    "str": "what happened",
    "str | None": "a name",
    "int | None": 3,
    "timedelta": timedelta(seconds=90),
    "Sequence[Problem]": [Problem("/steps/0", "is wrong", "Did you mean this?"), Problem("", "x")],
}
"""A value for each type that an error's ``__init__`` takes."""


def pickled(error: PulseError, *, protocol: int) -> object:
    """Return what another process would read."""
    return pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - made here


COPIES: dict[str, Callable[[PulseError], object]] = {"copy": copy.copy, "deepcopy": copy.deepcopy}
for number in range(pickle.HIGHEST_PROTOCOL + 1):
    COPIES[f"pickle {number}"] = partial(pickled, protocol=number)


class QuotaError(RetryAfterError):
    """What an application may make of it."""

    def __init__(self, partner: str) -> None:
        self.partner = partner
        super().__init__(f"{partner} has had enough", retry_after=timedelta(minutes=1))


def tree(root: type[PulseError] = PulseError) -> Iterator[type[PulseError]]:
    """Yield each class of the product's tree of errors that a caller of the library can meet.

    What the web room raises stays inside of it, and is there only if a test has imported it.
    """
    yield root
    for below in root.__subclasses__():
        room = below.__module__
        if room.startswith("pulse_temporal.") and not room.startswith("pulse_temporal.web."):
            yield from tree(below)


def sample(kind: type[PulseError]) -> PulseError:
    """Return an error with a value for each parameter that its class takes."""
    own = [each for each in kind.__mro__ if issubclass(each, PulseError)]
    if not any("__init__" in vars(each) for each in own):
        return kind("what happened")
    given: list[object] = []
    named: dict[str, object] = {}
    for name, parameter in [*inspect.signature(kind.__init__).parameters.items()][1:]:
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[name] = SAMPLES[str(parameter.annotation)]
        else:
            given.append(SAMPLES[str(parameter.annotation)])
    return kind(*given, **named)


def raise_quota() -> None:
    """Fail in another process."""
    raise QuotaError("the bank")


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("kind", [*tree(), QuotaError], ids=lambda kind: kind.__name__)
def test_an_error_survives_copies_with_type_text_and_attributes(
    kind: type[PulseError], how: str
) -> None:
    error = QuotaError("the bank") if kind is QuotaError else sample(kind)
    error.add_note("while the books were closed")
    again = COPIES[how](error)
    assert type(again) is kind
    assert isinstance(again, PulseError)
    assert (str(again), repr(again), again.args) == (str(error), repr(error), error.args)
    assert vars(again) == vars(error)
    assert (again.code, again.retryable) == (error.code, error.retryable)


def test_an_error_comes_back_from_a_process_pool() -> None:
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(QuotaError, match="the bank has had enough") as raised,
    ):
        pool.submit(raise_quota).result()
    assert raised.value.retry_after == timedelta(minutes=1)


def test_codes_are_given_once() -> None:
    codes = [kind.code for kind in tree()]
    assert len(codes) == len(set(codes))


def test_every_error_is_public() -> None:
    names = {kind.__name__ for kind in tree()} - PRIVATE
    assert names <= set(pulse_temporal.__all__)
    assert names <= set(vars(errors))
