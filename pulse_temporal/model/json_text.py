"""Write canonical JSON as text.

Hashes of the text are stored, so its form is fixed here and does not depend on the version of a
library. Floats have the digits of Python's ``repr``: the fewest that give the same float. Those
from 0.00001 up to 1e16 are written without an exponent; the exponent of others has a sign and no
leading zeros.
"""

from __future__ import annotations

import json
import re

from pydantic import JsonValue

_ENCODER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
)
_MAYBE_EXPONENT = re.compile("[0-9]e[+-][0-9]")
_TEXT_OR_EXPONENT = re.compile(
    r'"[^"\\]*(?:\\.[^"\\]*)*"|(?P<sign>-?)(?P<digits>[0-9.]+)e(?P<power>[+-][0-9]+)'
)
_PLAIN_POWER = -5
"""``repr`` writes this power of ten with an exponent, canonical JSON does not."""


def write_json(tree: JsonValue) -> str:
    """Return the text of a value in JSON's own types, without blanks, keys in their order."""
    text = _ENCODER.encode(tree)
    # Two quick looks first: the pattern that knows text from numbers is slow on large texts.
    if ("e-" in text or "e+" in text) and _MAYBE_EXPONENT.search(text):
        return _TEXT_OR_EXPONENT.sub(_respelled, text)
    return text


def _respelled(found: re.Match[str]) -> str:
    """Return a number with the canonical exponent; a text, which may look like one, as it is."""
    if found["power"] is None:
        return found[0]
    sign, digits, power = found["sign"], found["digits"], int(found["power"])
    if power == _PLAIN_POWER:
        return f"{sign}0.0000{digits.replace('.', '')}"
    return f"{sign}{digits}e{power:+d}"
