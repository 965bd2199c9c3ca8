"""JSON values from text that strangers wrote: parsed, or refused with a reason. Pure.

Numbers keep their digits (`1.50` is not 1.5: it may be an id), half of a surrogate pair stays what
it is for the row rules to see, and what is nested too deep is refused at one depth everywhere.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from producer.held import Held, hold_line, hold_row
from producer.rows import Reject

MAX_DEPTH = 100  # of brackets; nobody's post is nested by hand as deep as that
MAX_INTEGER_DIGITS = 4_000  # Python's int refuses 4,300
SPACE = " \t\n\r"

# A string that does not end within the text goes to the end of it, looked at once only.
_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) < MAX_INTEGER_DIGITS else Decimal(digits)


def _fraction(digits: str) -> float | Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:  # an exponent of nineteen digits: nothing, or infinity
        return float(digits)


_QUICK = json.JSONDecoder(parse_float=Decimal)
_THOROUGH = json.JSONDecoder(parse_float=_fraction, parse_int=_integer)


@dataclass(frozen=True)
class Bad:
    """Why a text is no value that we take. `too_deep`: it may be JSON, but is not looked into."""

    code: str
    message: str


def parse_at(text: str, start: int) -> tuple[object, int]:
    """Parse the value at a place, which is not white space.

    Returns:
        The value, or a `Bad`, and where it ends (`start` for a `Bad`).
    """
    try:
        value, end = _decode(text, start)
    except json.JSONDecodeError as error:
        return Bad("bad_json", f"not JSON: {error.msg} at column {error.pos - start + 1}"), start
    except RecursionError:
        return TOO_DEEP, start
    brackets = text.count("[", start, end) + text.count("{", start, end)
    if brackets > MAX_DEPTH and _depth(text[start:end]) > MAX_DEPTH:
        return TOO_DEEP, start
    return value, end


def _decode(text: str, start: int) -> tuple[object, int]:
    try:
        return _QUICK.raw_decode(text, start)
    except json.JSONDecodeError:
        raise
    except (ValueError, InvalidOperation):  # a number larger than int or Decimal takes
        return _THOROUGH.raw_decode(text, start)


TOO_DEEP = Bad("too_deep", f"nested deeper than {MAX_DEPTH} brackets")


def parse_line(line: str) -> object:
    """Parse a line that holds one value; what follows it makes it bad."""
    start = len(line) - len(line.lstrip(SPACE))
    value, end = parse_at(line, start)
    if not isinstance(value, Bad) and line[end:].strip(SPACE):
        return Bad("bad_json", f"not JSON: more than one value, at column {end + 1}")
    return value


def refuse(number: int, value: object, line: str) -> Reject:
    """The reject of a row whose value is a `Bad` or no object."""
    if isinstance(value, Bad):
        return Reject(number, value.code, value.message, hold_line(line))
    return Reject(number, "not_object", "the value is not a JSON object", hold_line(line))


def hold_object(line: str, value: dict[str, object]) -> Held:
    """Show an object as its line has it, or, where that is too long, by its columns."""
    held = hold_line(line)
    return held if held.whole else hold_row(value)


def end_of_brackets(text: str, start: int) -> int | None:
    """Where the value that opens with a bracket at `start` ends; None: not within this text."""
    depth = 0
    for token in _BRACKETS.finditer(text, start):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth == 0 and not token[0].startswith('"'):
            return token.end()
    return None


def _depth(text: str) -> int:
    deepest = depth = 0
    for token in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        deepest = max(deepest, depth)
    return deepest
