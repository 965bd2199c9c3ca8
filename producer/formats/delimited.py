"""CSV and TSV: fields between commas, tabs, semicolons or bars, with a header line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from producer.blocks import RawBlock
from producer.columns import ColumnOptions, Columns, names_text
from producer.encodings import has_undecoded
from producer.formats.decoded import READ_BYTES, Piece, read_lines
from producer.formats.quick_csv import QuickRows, grammar, parse_quickly
from producer.formats.records import MAX_WAIT_CHARACTERS, Records, split_records
from producer.held import BAD_BYTES_CODE, BAD_BYTES_MESSAGE, Held, hold_line, hold_row
from producer.mending import is_mending_file, unguard
from producer.rows import Reject

DELIMITERS = {"csv": ",\t;|", "tsv": "\t,;|"}  # the first wins where a header does not tell
MAX_WAITS = 8  # for quotes that may close far away, before what was waited for is read in a hurry


class DelimitedReader:
    """Quoted newlines are part of a field; a row is refused for its own faults alone."""

    def __init__(self, stream: BinaryIO, encoding: str, kind: str, options: ColumnOptions) -> None:
        self.notes: list[str] = []
        self.columns: list[str] = []
        self.has_rows = False
        self._pieces = read_lines(stream, encoding, ends="\r\n")
        self._ahead: list[Piece] = []
        self._waits = 0  # for quotes to close, in vain
        self._hurried = 0  # characters to be read without waiting
        self._delimiter = DELIMITERS[kind][0]
        self._read_header(DELIMITERS[kind], options)
        self._grammar = grammar(self._delimiter)
        self._places: dict[str, int] = {}

    def _read_header(self, delimiters: str, options: ColumnOptions) -> None:
        for piece in self._pieces:
            if piece.cut:
                raise ValueError("the header line is too long")
            lines = _lines(piece.text)
            at = next((n for n, line in enumerate(lines) if line.strip()), None)
            if at is None:
                continue
            self._delimiter, self.columns, used = _header(lines[at:], delimiters, options)
            self._ahead.append(Piece("".join(lines[at + used :])))
            break
        self.has_rows = self._has_data()

    def _has_data(self) -> bool:
        """Look on until something that is not blank comes."""
        if any(piece.text.strip("\r\n") for piece in self._ahead):
            return True
        for piece in self._pieces:
            if piece.text.strip("\r\n"):
                self._ahead.append(piece)
                return True
        return False

    def blocks(self, columns: Columns) -> Iterator[RawBlock]:
        """See `Reader`."""
        self._places = {name: self.columns.index(name) for name in columns.names}
        number = 1
        for records, suspect in self._records():
            if isinstance(records, QuickRows):
                yield self._quick_block(records, number)
            elif records.size:
                yield self._block(records, number, suspect=suspect)
            number += records.size

    def fraction(self) -> float | None:
        """See `Reader`."""
        return None

    def _records(self) -> Iterator[tuple[Records | QuickRows, bool]]:
        """Records by the piece, and whether bytes of some may not have decoded."""
        pending: list[str] = []
        enough, suspect = 0, False
        while True:
            piece = self._next_piece()
            final = piece is None or piece.cut
            if piece is not None and not piece.cut:
                pending.append(piece.text)
                suspect = suspect or has_undecoded(piece.text)
                # Behind an open quote, parse again only when twice as much is there.
                if sum(map(len, pending)) < enough:
                    continue
            text = "".join(pending)
            quick = None if final or suspect else self._parse_quickly(text)
            if quick is not None:
                yield quick, False
                pending, enough = [], 0
                continue
            records = self._split(_lines(text), final=final)
            if records.left:
                self._read_again(records.left, piece if piece is not None and piece.cut else None)
            elif piece is not None and piece.cut:
                records.refuse("row_too_long", "the row is too long to be read", piece.text)
            yield records, suspect
            if piece is None and not records.left:
                return
            pending, suspect = ["".join(records.rest)], any(map(has_undecoded, records.rest))
            enough = min(2 * len(pending[0]), MAX_WAIT_CHARACTERS + 1)

    def _next_piece(self) -> Piece | None:
        piece = self._ahead.pop(0) if self._ahead else next(self._pieces, None)
        if piece is not None:
            self._hurried -= len(piece.text)
        return piece

    def _read_again(self, lines: Sequence[str], cut: Piece | None) -> None:
        """Put lines behind a refused quote back, in pieces: as rows they are many times larger."""
        self._waits += 1
        if self._waits == MAX_WAITS:
            self._hurried, self._waits = sum(map(len, lines)), 0
        self._ahead[:0] = [*_in_pieces(lines), *([cut] if cut else [])]

    def _parse_quickly(self, text: str) -> QuickRows | None:
        if is_mending_file(self.columns):
            return None
        places = list(self._places.values())
        return parse_quickly(text, self._delimiter, self._grammar, len(self.columns), places)

    def _quick_block(self, rows: QuickRows, first: int) -> RawBlock:
        numbers = range(first, first + rows.size)
        values = dict(zip(self._places, rows.fields, strict=True))
        again: list[list[list[str]]] = []  # parsed once more for whoever wants a row as it was

        def hold(at: int) -> Held:
            if not again:
                lines = csv.reader(_lines(rows.text), delimiter=self._delimiter, strict=True)
                again.append([row for row in lines if row])
            return hold_row(self._by_column(again[0][at]))

        return RawBlock(numbers, values, hold, characters=len(rows.text))

    def _split(self, lines: Sequence[str], *, final: bool) -> Records:
        width, patient = len(self.columns), self._hurried <= 0
        return split_records(lines, self._delimiter, width, final=final, patient=patient)

    def _block(self, records: Records, first: int, *, suspect: bool) -> RawBlock:
        rows, numbers, rejects = records.rows, range(first, first + records.size), []
        good: Sequence[int] = numbers
        if records.refused:
            good = [number for number in numbers if number - first not in records.refused]
            rejects = [
                Reject(
                    first + at,
                    refused.code,
                    refused.message,
                    hold_line(refused.line.rstrip("\r\n")),
                )
                for at, refused in records.refused.items()
            ]
        if suspect:
            bad = {at for at, row in enumerate(rows) if any(map(has_undecoded, row))}
            rejects += [self._undecoded(good[at], rows[at]) for at in sorted(bad)]
            rejects.sort(key=lambda reject: reject.row_number)
            good = [number for at, number in enumerate(good) if at not in bad]
            rows = [row for at, row in enumerate(rows) if at not in bad]
        if is_mending_file(self.columns):
            rows = [[unguard(field) for field in row] for row in rows]
        values = {name: [row[at] for row in rows] for name, at in self._places.items()}
        size = sum(len(field) for row in rows for field in row)
        return RawBlock(good, values, lambda at: hold_row(self._by_column(rows[at])), rejects, size)

    def _undecoded(self, number: int, row: Sequence[str]) -> Reject:
        held = hold_row(self._by_column(row))
        return Reject(number, BAD_BYTES_CODE, BAD_BYTES_MESSAGE, held)

    def _by_column(self, row: Sequence[str]) -> dict[str, str]:
        return dict(zip(self.columns, row, strict=True))


def _header(
    lines: Sequence[str], delimiters: str, options: ColumnOptions
) -> tuple[str, list[str], int]:
    """The delimiter, the columns, and how many lines they took.

    The delimiter is the one by which the header has a column for the text, then the one that gives
    the most columns, then the first.
    """
    choices = []
    for place, delimiter in enumerate(delimiters):
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            columns = next(reader)
        except csv.Error:
            continue
        rank = (names_text(columns, options), len(columns), -place)
        choices.append((rank, delimiter, columns, reader.line_num))
    if not choices:
        raise ValueError("the header line has a quote that does not close")
    _rank, delimiter, columns, used = max(choices)
    return delimiter, columns, used


def _in_pieces(lines: Sequence[str]) -> Iterator[Piece]:
    some: list[str] = []
    size = 0
    for line in lines:
        some.append(line)
        size += len(line)
        if size >= READ_BYTES:
            yield Piece("".join(some))
            some, size = [], 0
    yield Piece("".join(some))


def _lines(text: str) -> list[str]:
    r"""Split at \n, \r and \r\n and nowhere else, keeping the ends."""
    return io.StringIO(text, newline="").readlines()
