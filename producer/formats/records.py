"""Lines of a CSV file as records, each good or refused, whatever its quotes do. Pure.

The `csv` module does the parsing, in its strict mode. What it cannot do is go on after an error:
here the line on which the bad record began is refused, and reading goes on with the next line, so
that a quote that never closes costs one row, not the rest of the file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from producer.formats.reader import MAX_ROW_CHARACTERS

# A record of more lines that has not the right width, or whose lines look like rows themselves, is
# an open quote that another closes by chance.
MAX_UNFIT_LINES = 50
ROW_LIKE_SHARE = 0.8
# How often lines are parsed over again for quotes that may close far away. A file of which every
# line opens one would take days; behind so much, a record may have `MAX_UNFIT_LINES`.
PATIENCE = 8
MAX_WAIT_CHARACTERS = 8 << 20  # a record of several lines that is longer is an open quote
LONG_WAIT_LINES = 16_384  # behind a quote that was open for longer, the caller reads on in pieces


@dataclass(frozen=True)
class Refused:
    """A record that cannot be used: why, and the lines of it."""

    code: str
    message: str
    line: str


@dataclass
class Records:
    """What lines came to: good rows, refused ones by their place among all, and what is left.

    `rest` are the lines at the end whose record is not complete; `left` are those behind a quote
    that was refused after a long wait, not yet read again. There is one of them at most.
    """

    rows: list[list[str]] = field(default_factory=list)
    refused: dict[int, Refused] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many records there are, good and refused."""
        return len(self.rows) + len(self.refused)

    def refuse(self, code: str, message: str, line: str) -> None:
        """Add a refused one behind what there is."""
        self.refused[self.size] = Refused(code, message, line)


def split_records(
    lines: Sequence[str], delimiter: str, width: int, *, final: bool, patient: bool = True
) -> Records:
    """Parse lines, each with its line end.

    Args:
        lines: the first begins a record.
        delimiter: one character.
        width: how many fields a record has.
        final: no more lines come.
        patient: a record may have more than `MAX_UNFIT_LINES`.
    """
    csv.field_size_limit(2 * MAX_ROW_CHARACTERS)  # the module stops at 128 KiB unless told
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return _split_carefully(lines, delimiter, width, final=final, patient=patient)
    good = [row for row in rows if row]
    if set(map(len, good)) <= {width} and len(lines) - len(rows) < MAX_UNFIT_LINES:
        return Records(good)
    return _split_carefully(lines, delimiter, width, final=final, patient=patient)


def _split_carefully(
    lines: Sequence[str], delimiter: str, width: int, *, final: bool, patient: bool
) -> Records:
    records = Records()
    start, patience = 0, PATIENCE * len(lines) * patient
    while start < len(lines):
        reading = _Reading(lines, start, delimiter, final=final, patient=patience > 0)
        problem = reading.add_to(records, width)
        if problem is None:
            return records
        if problem == "goes_on":
            records.rest = list(lines[reading.begin :])
            return records
        records.refuse(problem, _MESSAGES[problem], lines[reading.begin])
        start = reading.begin + 1
        waited = reading.at - start
        if problem == "open_quote" and waited > LONG_WAIT_LINES:
            records.left = list(lines[start:])
            return records
        patience -= waited
    return records


_MESSAGES = {
    "open_quote": "a quote is opened and never closed",
    "bad_quote": "a quote stands where none may (inside quotes it is written twice)",
}


class _Reading:
    """Lines parsed from one on, until something is wrong with a record.

    `begin` is the line on which the last record began, `at` the line that would be read next.
    """

    def __init__(
        self, lines: Sequence[str], start: int, delimiter: str, *, final: bool, patient: bool
    ) -> None:
        self.begin = self.at = start
        self._lines = lines
        self._delimiter = delimiter
        self._final = final
        self._patient = patient
        self._reader = csv.reader(self._given(), delimiter=delimiter, strict=True)

    def _given(self) -> Iterator[str]:
        while self.at < len(self._lines) and (self._patient or self._taken() < MAX_UNFIT_LINES):
            self.at += 1
            yield self._lines[self.at - 1]

    def _taken(self) -> int:
        return self.at - self.begin

    def add_to(self, records: Records, width: int) -> str | None:
        """Parse on. Returns what is wrong with the record that begins at `begin`; None: nothing."""
        while (begin := self.at) < len(self._lines):
            self.begin = begin
            try:
                fields = next(self._reader)
            except csv.Error as error:
                return "bad_quote" if "unexpected end" not in str(error) else self._open_quote()
            if self._taken() > MAX_UNFIT_LINES and (
                len(fields) != width or self._looks_like_rows(width)
            ):
                return "open_quote"
            if len(fields) == width:
                records.rows.append(fields)
            elif fields:
                message = f"{len(fields)} fields, not {width}"
                records.refuse("field_count", message, "".join(self._lines[begin : self.at]))
        return None

    def _looks_like_rows(self, width: int) -> bool:
        """Whether most lines within the last record have as many delimiters as a row has."""
        within = self._lines[self.begin + 1 : self.at - 1]
        alike = sum(line.count(self._delimiter) == width - 1 for line in within)
        return width > 1 and alike > ROW_LIKE_SHARE * len(within)

    def _open_quote(self) -> str:
        may_go_on = not self._final and self.at == len(self._lines)
        return "goes_on" if may_go_on and _short(self._lines, self.begin) else "open_quote"


def _short(lines: Sequence[str], begin: int) -> bool:
    return sum(map(len, islice(lines, begin, None))) <= MAX_WAIT_CHARACTERS
