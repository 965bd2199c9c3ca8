"""CSV parsed by Arrow, whole columns at once, where that surely comes to the same rows.

Arrow forgives what strict CSV does not, so a grammar decides first whether there is anything to
forgive. It never decides that a row is bad: what it does not know goes to
`producer.formats.records`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from producer.formats.records import MAX_UNFIT_LINES

BYTE_ORDER_MARK = "\ufeff"  # Arrow drops one wherever its text begins
MAX_UTF8_BYTES = 4  # of a character

# One row after the other: fields in quotes with quotes inside doubled, or without quotes at all.
_FIELD = '(?:"(?:[^"]|"")*"|[^"{d}\\r\\n]*)'
_ROW = f"{_FIELD}(?:{{d}}{_FIELD})*"
_GRAMMAR = f"\\A(?:{_ROW}(?:\\r\\n|\\n|\\r))*(?:{_ROW})?\\z"


@dataclass(frozen=True)
class QuickRows:
    """Rows of a text: the wanted fields, each `large_string [rows]`."""

    text: str
    fields: list[pa.Array]

    @property
    def size(self) -> int:
        """How many rows."""
        return len(self.fields[0])


def grammar(delimiter: str) -> str:
    """The pattern of a text that is nothing but whole rows of strict CSV, for RE2."""
    return _GRAMMAR.replace("{d}", {"\t": "\\t", "|": "\\|"}.get(delimiter, delimiter))


def parse_quickly(
    text: str, delimiter: str, pattern: str, width: int, places: Sequence[int]
) -> QuickRows | None:
    """Parse a text of whole lines.

    Args:
        text: without marks of bytes that did not decode.
        delimiter: one character.
        pattern: its `grammar`.
        width: how many fields each row has.
        places: of the fields that are wanted.

    Returns:
        The rows; None where that is not surely what they are.
    """
    try:
        written = text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, out of UTF-16
        return None
    whole = pa.scalar(text, pa.large_string())
    if text.startswith(BYTE_ORDER_MARK) or not pc.match_substring_regex(whole, pattern).as_py():
        return None
    names = [str(place) for place in range(width)]
    wanted = [str(place) for place in places]
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(written),
            pyarrow.csv.ReadOptions(
                use_threads=False, column_names=names, block_size=MAX_UTF8_BYTES * len(text) + 1
            ),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pyarrow.csv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(wanted, pa.large_string())
            ),
        )
    except pa.ArrowInvalid:
        return None  # a row of another width
    # Rows of many lines may be quotes that close by chance: those are for others to judge.
    lines = text.count("\n") + text.count("\r") - text.count("\r\n")
    if lines - table.num_rows >= MAX_UNFIT_LINES:
        return None
    return QuickRows(text, [table[name].combine_chunks() for name in wanted])
