"""A query's rows as CSV, JSON or an Excel sheet."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

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
    names = _different(result.columns)
    stream.write("[")
    for row in result.rows:
        values = dict(zip(names, map(_json_value, row), strict=True))
        stream.write(",\n " if count else "\n ")
        stream.write(json.dumps(values, ensure_ascii=False))
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
    # Aside first: a query that fails half-way must not cost an earlier good file.
    aside = path.with_name(f".{path.stem}.{uuid4().hex}{path.suffix}")
    try:
        count = writer(result, aside)
        aside.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        aside.unlink(missing_ok=True)
    return count


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
                raise InputError(f"an Excel sheet holds {most} rows; write .csv")
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
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            return None  # JSON knows neither NaN nor infinity
        return int(value) if value == int(value) else float(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _json_value(item) for key, item in value.items()}
    return str(plain(value))


def _different(names: list[str]) -> list[str]:
    """Name columns apart that a query named alike: no value may hide another."""
    seen: Counter[str] = Counter()
    apart = []
    for name in names:
        seen[name] += 1
        apart.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return apart
