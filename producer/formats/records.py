"""Lines of a CSV file as records, each good or refused, whatever its quotes do. Pure.

The `csv` module does the parsing, in its strict mode. What it cannot do is go on after an error:
here the line on which the bad record began is refused, and reading goes on with the next line, so
that a quote that never closes costs one row, not the rest of the file.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field

from producer.formats.reader import MAX_ROW_CHARACTERS

MAX_UNFIT_LINES = 50  # a record of more lines that has not the right width is an open quote


@dataclass(frozen=True)
class Refused:
    """A record that cannot be used: why, and the lines of it."""

    code: str
    message: str
    line: str


@dataclass
class Records:
    """What lines came to: good rows, refused ones by their place among all, and what is left.

    `rest` are the lines at the end whose record is not complete.
    """

    rows: list[list[str]] = field(default_factory=list)
    refused: dict[int, Refused] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many records there are, good and refused."""
        return len(self.rows) + len(self.refused)

    def refuse(self, code: str, message: str, line: str) -> None:
        """Add a refused one behind what there is."""
        self.refused[self.size] = Refused(code, message, line)


def split_records(lines: Sequence[str], delimiter: str, width: int, *, final: bool) -> Records:
    """Parse lines, each with its line end.

    Args:
        lines: the first begins a record.
        delimiter: one character.
        width: how many fields a record has.
        final: no more lines come.
    """
    csv.field_size_limit(2 * MAX_ROW_CHARACTERS)  # the module stops at 128 KiB unless told
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return _split_carefully(lines, delimiter, width, final=final)
    if set(map(len, rows)) - {0} <= {width}:
        return Records([row for row in rows if row])
    return _split_carefully(lines, delimiter, width, final=final)


def _split_carefully(lines: Sequence[str], delimiter: str, width: int, *, final: bool) -> Records:
    records = Records()
    start = 0
    while start < len(lines):
        stopped, begin, problem = _until_error(lines, start, delimiter, width, records)
        if not stopped:
            return records
        if problem == "open_quote" and not final and _short(lines[begin:]):
            records.rest = list(lines[begin:])
            return records
        records.refuse(problem, _MESSAGES[problem], lines[begin])
        start = begin + 1
    return records


_MESSAGES = {
    "open_quote": "a quote is opened and never closed",
    "bad_quote": "a quote stands where none may (inside quotes it is written twice)",
}


def _until_error(
    lines: Sequence[str], start: int, delimiter: str, width: int, records: Records
) -> tuple[bool, int, str]:
    """Parse on, adding to `records`.

    Returns:
        Whether a line stopped it, the first line of that record, and what is wrong with it.
    """
    reader = csv.reader(lines[start:], delimiter=delimiter, strict=True)
    while (begin := start + reader.line_num) < len(lines):
        try:
            fields = next(reader)
        except csv.Error as error:
            return True, begin, "open_quote" if "unexpected end" in str(error) else "bad_quote"
        end = start + reader.line_num
        if len(fields) == width:
            records.rows.append(fields)
        elif fields and end - begin > MAX_UNFIT_LINES:
            return True, begin, "open_quote"
        elif fields:
            message = f"{len(fields)} fields, not {width}"
            records.refuse("field_count", message, "".join(lines[begin:end]))
    return False, len(lines), ""


def _short(lines: Sequence[str]) -> bool:
    return sum(map(len, lines)) <= MAX_ROW_CHARACTERS
