"""A block of rows out of JSON values and the texts that they were parsed from. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from producer.blocks import RawBlock
from producer.columns import Columns
from producer.encodings import has_undecoded
from producer.formats.json_values import hold_object, refuse
from producer.held import BAD_BYTES_CODE, BAD_BYTES_MESSAGE, hold_line
from producer.rows import Reject


def make_block(
    values: Sequence[object], lines: Sequence[str], first: int, columns: Columns, *, suspect: bool
) -> RawBlock:
    """Sort values into rows and rejects.

    Args:
        values: parsed, or `Bad`.
        lines: the text of each.
        first: the number of the first row.
        columns: what is read.
        suspect: bytes of some line may not have decoded.
    """
    numbers: Sequence[int] = range(first, first + len(values))
    rows: Sequence[Any] = values
    rejects: list[Reject] = []
    texts = lines
    if suspect or any(type(value) is not dict for value in values):
        good = [
            at
            for at, (v, line) in enumerate(zip(values, lines, strict=True))
            if _fits(v, line, suspect)
        ]
        kept = set(good)
        rejects = [
            _reject(numbers[at], values[at], lines[at])
            for at in range(len(values))
            if at not in kept
        ]
        numbers = [first + at for at in good]
        rows, texts = [values[at] for at in good], [lines[at] for at in good]
    size = sum(map(len, texts))
    found = {name: [row.get(name) for row in rows] for name in columns.names}
    return RawBlock(numbers, found, lambda at: hold_object(texts[at], rows[at]), rejects, size)


def too_long(number: int, beginning: str, columns: Columns) -> RawBlock:
    """Make a block of nothing but a row that was too long to be held."""
    held = hold_line(beginning)
    reject = Reject(number, "row_too_long", "the row is too long to be read", held)
    return RawBlock([], {name: [] for name in columns.names}, lambda _at: held, [reject])


def _fits(value: object, line: str, suspect: bool) -> bool:
    return type(value) is dict and not (suspect and has_undecoded(line))


def _reject(number: int, value: object, line: str) -> Reject:
    if has_undecoded(line):
        return Reject(number, BAD_BYTES_CODE, BAD_BYTES_MESSAGE, hold_line(line))
    return refuse(number, value, line)
