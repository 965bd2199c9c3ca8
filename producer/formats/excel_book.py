"""The parts of an `.xlsx` as streams: openpyxl understands them, but not within bounded memory.

Its own reader keeps every shared string, fills in each row that a file leaves out, however many,
and loses one whose number goes back. Here its parser is given one row after the other.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, iterparse

from openpyxl.reader.excel import ExcelReader
from openpyxl.worksheet._reader import WorkSheetParser
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS

MAX_PART_BYTES = 4 << 20  # of a row or a string, as XML: forty of the longest cells that Excel has
MAX_STRINGS = 1 << 24  # eight bytes each in memory

_SHEET_DATA, _ROW, _STRING, _RUN, _TEXT = (
    f"{{{SHEET_MAIN_NS}}}{tag}" for tag in ("sheetData", "row", "si", "r", "t")
)
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")  # how XML in Excel writes what XML cannot


class ExcelError:
    """A cell that shows `#N/A` or its like: no text, no id, no time."""

    def __init__(self, shown: object) -> None:
        self._shown = shown

    def __str__(self) -> str:
        return str(self._shown)


class ExcelBook(ExcelReader):  # type: ignore[misc]
    """A workbook. `sheets` are the paths of its worksheets.

    Args:
        stream: of its file, which can seek.
        scratch: an empty file for the strings that its cells share.
    """

    def __init__(self, stream: BinaryIO, scratch: BinaryIO) -> None:
        self._scratch = scratch
        super().__init__(stream, read_only=True, data_only=True, keep_links=False)
        self.sheets: list[str] = []
        self.read()

    def read_strings(self) -> None:
        """Called by openpyxl."""
        part = self.package.find(SHARED_STRINGS)
        if part is not None:
            with self.archive.open(part.PartName[1:]) as source:
                self.shared_strings = _Strings(source, self._scratch)

    def read_worksheets(self) -> None:
        """Called by openpyxl."""
        self.sheets = [
            part.target
            for _sheet, part in self.parser.find_sheets()
            if part.target in self.valid_files and "chartsheet" not in part.Type
        ]

    def rows(self, sheet: str) -> Iterator[list[object]]:
        """The values of a sheet's rows, without the empty cells at their ends and empty rows.

        Raises:
            Exception: of any kind, where the sheet is damaged.
        """
        book = self.wb
        with self.archive.open(sheet) as source:
            parser = WorkSheetParser(
                source,
                self.shared_strings,
                data_only=True,
                epoch=book.epoch,
                date_formats=book._date_formats,
                timedelta_formats=book._timedelta_formats,
            )
            for element in _each(source, _ROW, within=_SHEET_DATA):
                if values := _row_values(parser, element):
                    yield values


class _Strings:
    """Shared strings by their numbers, in a file."""

    def __init__(self, source: BinaryIO, file: BinaryIO) -> None:
        self._file = file
        self._ends = array("Q", [0])
        for element in _each(source, _STRING):
            if len(self._ends) > MAX_STRINGS:
                raise ValueError("too many strings")
            written = _content(element).encode("utf-8", "surrogatepass")
            self._file.write(written)
            self._ends.append(self._ends[-1] + len(written))

    def __getitem__(self, number: int) -> str:
        if not 0 <= number < len(self._ends) - 1:
            raise IndexError(f"no string {number}")
        begin, end = self._ends[number], self._ends[number + 1]
        self._file.seek(begin)
        return self._file.read(end - begin).decode("utf-8", "surrogatepass")


class _Bounded:
    """A stream that ends with an error where one part of it does not end."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.part_bytes = 0

    def read(self, size: int = -1, /) -> bytes:
        block = self._source.read(size)
        self.part_bytes += len(block)
        if self.part_bytes > MAX_PART_BYTES:
            raise ValueError("a row or a string is too long to be read")
        return block


def _each(source: BinaryIO, tag: str, *, within: str | None = None) -> Iterator[Element]:
    """Each element of a tag; what was given is forgotten."""
    bounded = _Bounded(source)
    parent: Element | None = None
    # Expat bounds what entities grow to, and opens none from elsewhere.
    for event, element in iterparse(bounded, ("start", "end")):  # noqa: S314
        if event == "start":
            if parent is None or element.tag == within:
                parent = element
        elif element.tag == tag:
            yield element
            bounded.part_bytes = 0
            if parent is not None:
                parent.clear()
        elif element.tag == within:
            return  # what follows says how it looks


def _content(element: Element) -> str:
    """The text of a string, in one or in runs of different looks; no phonetic guides."""
    parts = [
        part.text if part.tag == _TEXT else part.findtext(_TEXT)
        for part in element
        if part.tag in (_TEXT, _RUN)
    ]
    return "".join(part for part in parts if part)


def _row_values(parser: WorkSheetParser, element: Element) -> list[object]:
    try:
        _number, cells = parser.parse_row(element)
    except Exception:  # noqa: BLE001 - a word where a number is promised, whatever that raises
        # One bad row; and the words of the error would quote it.
        return [ExcelError(" ".join(element.itertext()))]
    parser.row_dimensions.clear()  # heights of rows, kept for ever
    return _values(cells)


def _values(cells: list[dict[str, Any]]) -> list[object]:
    values: list[object] = []
    for cell in cells:
        values += [None] * (cell["column"] - len(values))
        values[cell["column"] - 1] = _value(cell)
    while values and values[-1] in (None, ""):
        values.pop()
    return values


def _value(cell: dict[str, Any]) -> object:
    value = cell["value"]
    if cell["data_type"] == "e":
        return ExcelError(value)
    return _ESCAPED.sub(_unescaped, value) if isinstance(value, str) and "_x" in value else value


def _unescaped(escaped: re.Match[str]) -> str:
    return chr(int(escaped[1], 16))
