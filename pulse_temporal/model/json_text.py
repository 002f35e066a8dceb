"""The text of canonical JSON, which feeds stored hashes and so depends on no library.

Floats have the digits of Python's ``repr``: the fewest that give the same float. Those from
0.00001 up to 1e16 are written without an exponent; the exponent of others has a sign and no
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
    """Return the text of a tree of JSON's own types, without blanks, keys as they come."""
    text = _ENCODER.encode(tree)
    if ("e-" in text or "e+" in text) and _MAYBE_EXPONENT.search(text):
        return _TEXT_OR_EXPONENT.sub(_respelled, text)
    return text


def _respelled(found: re.Match[str]) -> str:
    if found["power"] is None:
        return found[0]
    sign, digits, power = found["sign"], found["digits"], int(found["power"])
    if power == _PLAIN_POWER:
        return f"{sign}0.0000{digits.replace('.', '')}"
    return f"{sign}{digits}e{power:+d}"
