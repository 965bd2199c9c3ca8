"""A query's rows as CSV, JSON or an Excel sheet."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from core.errors import InputError
from db.query import Result

EXCEL_ROWS = 1_048_576  # the header line included
EXCEL_CELL_CHARACTERS = 32_767
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # what Excel would run in a CSV cell


def write_csv(result: Result, stream: IO[str]) -> int:
    """Write a header and the rows as they are. Returns how many rows."""
    return _write_csv(result, stream, plain)


def write_json(result: Result, stream: IO[str]) -> int:
    """Write one array of objects, a row a line. Returns how many rows."""
    count = 0
    stream.write("[")
    for row in result.rows:
        stream.write(",\n " if count else "\n ")
        values = (_json_value(value) for value in row)
        stream.write(json.dumps(dict(zip(result.columns, values, strict=True)), ensure_ascii=False))
        count += 1
    stream.write("\n]\n" if count else "]\n")
    return count


def write_file(result: Result, path: Path) -> int:
    """Write what Excel opens, by the suffix: `.xlsx`, or `.csv` (UTF-8 with a mark).

    Crawled texts are strangers' texts: none becomes a formula in either.

    Raises:
        InputError: another suffix, more rows than a sheet holds, or a path that cannot be written.
    """
    writers: dict[str, Callable[[Result, Path], int]] = {".csv": _csv_file, ".xlsx": _xlsx_file}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise InputError(f"{path}: --output writes .csv or .xlsx")
    try:
        return writer(result, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def _csv_file(result: Result, path: Path) -> int:
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        return _write_csv(result, stream, _no_formula)


def _write_csv(result: Result, stream: IO[str], value_of: Callable[[Any], Any]) -> int:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(result.columns)
    count = 0
    for row in result.rows:
        writer.writerow([value_of(value) for value in row])
        count += 1
    return count


def _xlsx_file(result: Result, path: Path) -> int:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("nifos")
    sheet.append(result.columns)
    count = 0
    try:
        for row in result.rows:
            count += 1
            if count >= EXCEL_ROWS:
                most = f"{EXCEL_ROWS - 1:,}"
                raise InputError(f"{path}: an Excel sheet holds {most} rows; write .csv")
            sheet.append(_excel_cells(sheet, row))
    finally:
        sheet.close()
    book.save(path)
    return count


def _excel_cells(sheet: Any, row: Iterable[Any]) -> list[Any]:
    cells = []
    for value in row:
        cell = WriteOnlyCell(sheet, _excel_value(value))
        if isinstance(cell.value, str):
            cell.data_type = "s"  # text, even if it begins with =
        cells.append(cell)
    return cells


def _excel_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)  # Excel knows no zones; it is local time already
    if value is None or isinstance(value, bool | int | float | Decimal | date):
        return value
    return ILLEGAL_CHARACTERS_RE.sub("", str(plain(value)))[:EXCEL_CELL_CHARACTERS]


def plain(value: Any) -> Any:
    """A value as text shows it: nested ones as JSON, times in ISO 8601."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value


def _no_formula(value: Any) -> Any:
    shown = plain(value)
    if isinstance(shown, str) and shown.startswith(FORMULA_STARTS):
        return "'" + shown
    return shown


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if value is None or isinstance(value, bool | int | float | str | dict | list):
        return value
    return str(plain(value))
