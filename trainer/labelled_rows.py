"""Labelled files -> columns of texts and label words: CSV, JSON Lines and Parquet.

The texts are as they stand in the file. It knows nothing of what a label word means.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import ColumnsError, InputError

ROWS_AT_ONCE = 50_000
JUDGED_BYTES = 1 << 20  # of a file, by which its encoding is chosen
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

Pair = tuple[str | None, str | None]  # text and label of a row, as far as it has them


@dataclass(frozen=True)
class LabelledRows:
    """Columns of equal length, in the order of the file."""

    texts: list[str]
    labels: list[str]
    skipped: int
    """Rows that lack a text or a label."""


def read_labelled(path: Path, text_column: str, label_column: str) -> LabelledRows:
    """Read two columns of a file.

    Raises:
        InputError: the file is missing, of an unknown kind, or cannot be read.
        ColumnsError: it lacks a column.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        kinds = " ".join(_READERS)
        raise InputError(f"{path}: a kind of file that is not read here (these are: {kinds})")
    columns = (text_column, label_column)
    try:
        texts: list[str] = []
        labels: list[str] = []
        skipped = 0
        for text, label in read(path, columns):
            if text is None or label is None:
                skipped += 1
            else:
                texts.append(text)
                labels.append(label)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: its bytes are not {error.encoding} all through") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or 'damaged'})") from error
    except pd.errors.ParserError as error:
        # Its words tell of lines and numbers of fields, not of what they hold.
        reason = str(error).strip().rpartition("C error: ")[2]
        raise InputError(f"{path}: no CSV ({reason})") from error
    except (ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read ({type(error).__name__})") from error
    return LabelledRows(texts, labels, skipped)


def _read_csv(path: Path, columns: tuple[str, str]) -> Iterator[Pair]:
    encoding = _encoding(path)
    options: dict[str, Any] = {"sep": "\t" if path.suffix.lower() == ".tsv" else ",", "dtype": str}
    with path.open(encoding=encoding, newline="") as file:
        header = [str(name) for name in pd.read_csv(file, nrows=0, **options).columns]
    _check_columns(path, columns, header)
    with path.open(encoding=encoding, newline="") as file:
        # As text, all of it: "007" is no number and "NA" no missing value. And all columns: of a
        # few, pandas says nothing of a row that has too many fields.
        parts = pd.read_csv(
            file,
            keep_default_na=False,
            na_values=[""],
            chunksize=ROWS_AT_ONCE,
            **options,
        )
        for part in parts:
            yield from zip(*(map(_word, part[column].tolist()) for column in columns), strict=True)


def _read_json_lines(path: Path, columns: tuple[str, str]) -> Iterator[Pair]:
    seen: dict[str, None] = {}
    with path.open(encoding=_encoding(path)) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                row = None
            if not isinstance(row, dict):
                raise InputError(f"{path}: line {number} is no JSON object")
            seen.update(dict.fromkeys(row))
            yield _word(row.get(columns[0])), _word(row.get(columns[1]))
    _check_columns(path, columns, list(seen))


def _read_parquet(path: Path, columns: tuple[str, str]) -> Iterator[Pair]:
    with pq.ParquetFile(path) as file:
        _check_columns(path, columns, file.schema_arrow.names)
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(columns)):
            yield from zip(
                *(map(_word, batch.column(column).to_pylist()) for column in columns), strict=True
            )


_READERS: dict[str, Callable[[Path, tuple[str, str]], Iterator[Pair]]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".txt": _read_csv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}


def _check_columns(path: Path, columns: tuple[str, str], found: Sequence[str]) -> None:
    for column in columns:
        if column not in found:
            raise ColumnsError(f"{path}: no column {column!r}", f"among {list(found)}")


def _word(value: Any) -> str | None:
    if isinstance(value, float):
        if math.isnan(value):
            return None
        # pandas writes ids as 1.0 where one is missing.
        return str(int(value)) if value.is_integer() else str(value)
    return None if value is None or value == "" else str(value)


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(JUDGED_BYTES)
    for mark, encoding in _BOMS:
        if start.startswith(mark):
            return encoding
    for encoding in ("utf-8", "cp949"):
        try:
            codecs.getincrementaldecoder(encoding)().decode(start)
        except UnicodeDecodeError:
            continue
        return encoding
    raise InputError(f"{path}: it is neither UTF-8 nor CP949")
