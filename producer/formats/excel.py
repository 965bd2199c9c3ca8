"""Excel's `.xlsx`: the first sheet, its first row the header."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from core.errors import InputError
from producer.archives import check_sizes
from producer.blocks import RawBlock
from producer.columns import Columns
from producer.formats.excel_book import ExcelBook
from producer.formats.reader import BLOCK_CHARACTERS, BLOCK_ROWS
from producer.held import Held, hold_row
from producer.mending import is_mending_file, unguard
from producer.rows import Reject


class ExcelReader:
    """Rows of a sheet. Empty rows are none; cells behind the header's last are too many."""

    def __init__(self, stream: BinaryIO, name: str, scratch: BinaryIO) -> None:
        check_sizes(stream, name)
        stream.seek(0)
        with _damage_told():
            book = ExcelBook(stream, scratch)
            self._rows = book.rows(book.sheets[0])
            self.columns = ["" if value is None else str(value) for value in next(self._rows, [])]
            self._ahead = next(self._rows, None)
        self.has_rows = self._ahead is not None
        others = len(book.sheets) - 1
        self.notes = [f"{name}: only its first sheet is read, of {others + 1}"] if others else []

    def blocks(self, columns: Columns) -> Iterator[RawBlock]:
        """See `Reader`."""
        places = {name: self.columns.index(name) for name in columns.names}
        number = 1
        while True:
            rows, size = self._next_rows()
            if not rows:
                return
            good, rejects = self._sorted(rows, number)
            found = {name: [row[at] for _number, row in good] for name, at in places.items()}
            yield RawBlock([n for n, _row in good], found, self._holder(good), rejects, size)
            number += len(rows)

    def fraction(self) -> float | None:
        """See `Reader`."""
        return None

    def _next_rows(self) -> tuple[list[list[object]], int]:
        """Some rows, and how many characters are in them."""
        rows = [] if self._ahead is None else [self._ahead]
        self._ahead, size = None, 0
        with _damage_told():
            for row in self._rows:
                rows.append(row)
                size += sum(len(value) for value in row if isinstance(value, str))
                if len(rows) == BLOCK_ROWS or size > BLOCK_CHARACTERS:
                    break
        return rows, size

    def _sorted(
        self, rows: Sequence[list[object]], first: int
    ) -> tuple[list[tuple[int, list[object]]], list[Reject]]:
        width = len(self.columns)
        mend = is_mending_file(self.columns)
        good: list[tuple[int, list[object]]] = []
        rejects: list[Reject] = []
        for number, row in enumerate(rows, first):
            if len(row) > width:
                held = hold_row({str(at): value for at, value in enumerate(row, 1)})
                message = f"{len(row)} cells, not {width}"
                rejects.append(Reject(number, "field_count", message, held))
                continue
            cells = [unguard(v) if mend and isinstance(v, str) else v for v in row]
            good.append((number, cells + [None] * (width - len(cells))))
        return good, rejects

    def _holder(self, good: list[tuple[int, list[object]]]) -> Callable[[int], Held]:
        return lambda at: hold_row(dict(zip(self.columns, good[at][1], strict=True)))


@contextmanager
def _damage_told() -> Iterator[None]:
    """Excel's package says of a damaged file whatever its parts happen to raise."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and charts that it does not know
            yield
    except InputError:
        raise
    except Exception as error:
        told = error.__cause__ or error  # openpyxl puts a paragraph of its own around it
        raise ValueError(f"{type(told).__name__}: {told}") from error
