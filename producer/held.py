"""A rejected row as it was, kept within 4 KiB. Pure."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from producer.storable import storable

MAX_HELD_BYTES = 4_096
BAD_BYTES_CODE = "bad_bytes"
BAD_BYTES_MESSAGE = "bytes that are not of the file's encoding"

_UNDECODED = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Held:
    """What is kept of a row: a JSON object of its columns, or the line where it has none.

    `whole` is False when something was cut off: such a row cannot be mended from it.
    """

    text: str
    whole: bool = True


def hold_line(line: str) -> Held:
    r"""Keep a line. Bytes of it that did not decode are shown as `\xNN`."""
    shown = storable(_UNDECODED.sub(_as_byte, line))
    cut = _cut(shown, MAX_HELD_BYTES)
    return Held(cut, len(cut) == len(shown))


def hold_row(row: Mapping[str, object]) -> Held:
    """Keep a row by its columns. Where they are too much, the longest values are cut alike."""
    values = {
        name: _UNDECODED.sub(_as_byte, v) if isinstance(v, str) else v for name, v in row.items()
    }
    shown = _as_json(values)
    if len(shown.encode()) <= MAX_HELD_BYTES:
        return Held(shown)
    texts = {
        name: value if isinstance(value, str) else _as_json(value) for name, value in values.items()
    }

    def cut_to(length: int) -> str:
        return _as_json({name: text[:length] for name, text in texts.items()})

    too_long = bisect_right(
        range(MAX_HELD_BYTES), MAX_HELD_BYTES, key=lambda length: len(cut_to(length).encode())
    )
    if too_long == 0:  # the names alone are too much
        return Held(_cut(cut_to(0), MAX_HELD_BYTES), whole=False)
    return Held(cut_to(too_long - 1), whole=False)


def _as_json(value: object) -> str:
    try:
        written = json.dumps(value, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):
        return '"(nested too deep to show)"'
    # Half a surrogate pair as JSON writes it: the row can be read again as it was.
    return written.encode("utf-8", "backslashreplace").decode()


def _as_byte(undecoded: re.Match[str]) -> str:
    return f"\\x{ord(undecoded[0]) - 0xDC00:02x}"


def _cut(value: str, max_bytes: int) -> str:
    if len(value) * 4 <= max_bytes:
        return value
    return value.encode()[:max_bytes].decode("utf-8", "ignore")
