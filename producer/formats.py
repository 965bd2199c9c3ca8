"""Readers of CSV, JSON Lines and Parquet: each gives its columns and its rows, one at a time.

They know bytes and rows. What makes a row a document is `producer.rows`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow
import pyarrow.parquet

from core.errors import InputError
from producer.columns import Columns
from producer.rows import RawRow, Reject, held

COLUMN_SAMPLE_ROWS = 1_000  # JSON Lines: the columns are the keys of this many first objects
PARQUET_BATCH_ROWS = 8_192
MAX_FIELD_CHARACTERS = 16 << 20  # a CSV field; the csv module stops at 128 KiB unless told
# What a byte that does not decode becomes under `surrogateescape`.
_UNDECODED = dict.fromkeys(range(0xDC80, 0xDD00))

TEXT_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
SUFFIXES = {**TEXT_SUFFIXES, ".parquet": "parquet"}


class Reader(Protocol):
    """One open file. `rows` may be called once."""

    columns: list[str]

    def rows(self, columns: Columns) -> Iterator[RawRow | Reject]:
        """The data rows in order, numbered from 1; no header, no blank line."""

    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""


@contextmanager
def open_reader(path: Path, encoding: str | None) -> Iterator[Reader]:
    """Open a file by its suffix.

    Args:
        path: of the file.
        encoding: of a text format, as `find_encoding` settled it.

    Raises:
        InputError: the format is unknown, or the file is damaged; it names the file.
    """
    kind = format_of(path)
    with ExitStack() as stack, _damage(path):
        raw = stack.enter_context(path.open("rb"))
        if kind == "parquet":
            yield ParquetReader(raw)
            return
        size = max(1, path.stat().st_size)
        newline = "\n" if kind == "jsonl" else ""
        stream = stack.enter_context(
            io.TextIOWrapper(raw, encoding=encoding, errors="surrogateescape", newline=newline)
        )
        if kind == "jsonl":
            yield JsonLinesReader(stream, raw, size)
        else:
            yield CsvReader(stream, raw, size, delimiter="\t" if kind == "tsv" else ",")


def format_of(path: Path) -> str:
    """The format that a file's suffix names.

    Raises:
        InputError: none of ours.
    """
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"{path.name}: not one of {', '.join(sorted(SUFFIXES))}")
    return kind


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(f"{path.name}: cannot be read ({error.strerror})") from error
    except (pyarrow.ArrowException, csv.Error, OSError, OverflowError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path.name}: damaged or not what its name says ({reason})") from error


class CsvReader:
    """Comma- or tab-separated values with a header line; quoted newlines are part of a field."""

    def __init__(
        self, stream: io.TextIOWrapper, raw: io.BufferedReader, size: int, delimiter: str
    ) -> None:
        csv.field_size_limit(MAX_FIELD_CHARACTERS)
        self._lines = csv.reader(stream, delimiter=delimiter)
        self._raw, self._size = raw, size
        self.columns = next((line for line in self._lines if line), [])

    def rows(self, columns: Columns) -> Iterator[RawRow | Reject]:
        """See `Reader`."""
        width = len(self.columns)
        text = self.columns.index(columns.text)
        id_at = self._place(columns.external_id)
        time_at = self._place(columns.written_at)
        number = 0
        for fields in self._lines:
            if not fields:
                continue
            number += 1
            if len(fields) != width:
                yield Reject(
                    number, "field_count", f"{len(fields)} fields, not {width}", held(fields)
                )
            elif any(not field.isascii() and has_undecoded(field) for field in fields):
                yield undecoded(number, fields)
            else:
                yield RawRow(
                    number,
                    fields[text],
                    None if id_at is None else fields[id_at],
                    None if time_at is None else fields[time_at],
                    fields,
                )

    def fraction(self) -> float:
        """See `Reader`."""
        return self._raw.tell() / self._size

    def _place(self, column: str | None) -> int | None:
        return None if column is None else self.columns.index(column)


class JsonLinesReader:
    """One JSON object a line; lines end at a newline and nowhere else."""

    def __init__(self, stream: io.TextIOWrapper, raw: io.BufferedReader, size: int) -> None:
        self._raw, self._size = raw, size
        self._lines = (line for line in stream if line.strip())
        self._sample = list(islice(self._lines, COLUMN_SAMPLE_ROWS))
        keys: dict[str, None] = {}
        for line in self._sample:
            value = _parse(line)
            if isinstance(value, dict):
                keys.update(dict.fromkeys(value))
        self.columns = list(keys)

    def rows(self, columns: Columns) -> Iterator[RawRow | Reject]:
        """See `Reader`."""
        number = 0
        for line in self._all_lines():
            number += 1
            if not line.isascii() and has_undecoded(line):
                yield undecoded(number, line)
                continue
            value = _parse(line)
            if not isinstance(value, dict):
                wrong = isinstance(value, BadJson)
                code = "bad_json" if wrong else "not_object"
                message = str(value) if wrong else "the line holds no JSON object"
                yield Reject(number, code, message, held(line.rstrip("\n")))
                continue
            yield RawRow(
                number,
                value.get(columns.text),
                value.get(columns.external_id) if columns.external_id else None,
                value.get(columns.written_at) if columns.written_at else None,
                value,
            )

    def fraction(self) -> float:
        """See `Reader`."""
        return self._raw.tell() / self._size

    def _all_lines(self) -> Iterator[str]:
        yield from self._sample
        self._sample = []
        yield from self._lines


class BadJson(Exception):
    """Why a line is not JSON."""


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        return BadJson(f"not JSON: {error.msg} at column {error.colno}")
    except RecursionError:
        return BadJson("nested too deep")
    except ValueError:
        return BadJson("not JSON: a number with too many digits")


class ParquetReader:
    """Parquet, a batch of rows at a time, only the columns that are read."""

    def __init__(self, raw: io.BufferedReader) -> None:
        self._file = pyarrow.parquet.ParquetFile(raw)
        self._total = max(1, int(self._file.metadata.num_rows))
        self._done = 0
        self.columns = list(self._file.schema_arrow.names)

    def rows(self, columns: Columns) -> Iterator[RawRow | Reject]:
        """See `Reader`."""
        wanted = [name for name in (columns.text, columns.external_id, columns.written_at) if name]
        number = 0
        for batch in self._file.iter_batches(batch_size=PARQUET_BATCH_ROWS, columns=wanted):
            values = {name: batch.column(name).to_pylist() for name in wanted}
            nothing: list[object] = [None] * batch.num_rows
            for text, external_id, written_at in zip(
                values[columns.text],
                values.get(columns.external_id or "", nothing),
                values.get(columns.written_at or "", nothing),
                strict=True,
            ):
                number += 1
                yield RawRow(number, text, external_id, written_at, [text, external_id, written_at])
            self._done = number

    def fraction(self) -> float:
        """See `Reader`."""
        return self._done / self._total


def has_undecoded(value: str) -> bool:
    """Tell whether bytes of it did not decode."""
    return value.translate(_UNDECODED) != value


def undecoded(number: int, whole: object) -> Reject:
    """A row whose bytes are not of the file's encoding."""
    return Reject(number, "bad_bytes", "bytes that are not of the file's encoding", held(whole))
