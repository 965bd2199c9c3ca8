"""Open an input by its kind: the one place that knows which reader reads what."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow

from core.errors import FileNotReadyError, InputError
from producer import inputs
from producer.columns import ColumnOptions
from producer.encodings import JUDGED_BYTES, check_encoding, find_encoding
from producer.formats.delimited import DelimitedReader
from producer.formats.excel import ExcelReader
from producer.formats.json_array import OBJECT, JsonArrayReader, begins_with
from producer.formats.json_lines import JsonLinesReader
from producer.formats.parquet import ParquetReader
from producer.formats.reader import Reader
from producer.inputs import Input, Opened
from producer.storable import printable

CHANGED = "was changed while it was read; try again when it is whole"


@contextmanager
def open_reader(
    source: Input,
    format: str,  # noqa: A002
    encoding: str | None,
    options: ColumnOptions,
) -> Iterator[tuple[Reader, Opened]]:
    """Open a file whose format and encoding are settled.

    Raises:
        OSError: or another of `inputs.DAMAGE`, or ValueError: it is damaged.
    """
    with source.open() as opened:
        stream = opened.stream
        if format == "parquet":
            yield ParquetReader(stream), opened
        elif format == "xlsx":
            with tempfile.TemporaryFile() as scratch:
                yield ExcelReader(stream, source.name, scratch), opened
        elif format == "json":
            yield JsonArrayReader(stream, encoding or ""), opened
        elif format == "jsonl":
            yield JsonLinesReader(stream, encoding or ""), opened
        else:
            yield DelimitedReader(stream, encoding or "", format, options), opened


def settle_format(source: Input, named_encoding: str | None) -> tuple[str, str | None]:
    """The format and, of a text, the encoding.

    A `.json` whose first character opens an object holds JSON Lines.

    Raises:
        InputError: no encoding fits, or there is none of the name given.
    """
    if not source.kind.is_text:
        return source.kind.format, None
    if named_encoding is not None:
        encoding = check_encoding(named_encoding)
    else:
        with source.open() as opened:
            encoding = find_encoding(_read_head(opened), source.name)
    if source.kind.format == "json":
        with source.open() as opened:
            if begins_with(opened.stream, encoding) == OBJECT:
                return "jsonl", encoding
    return source.kind.format, encoding


def _read_head(opened: Opened) -> bytes:
    # A compressed stream gives less than is asked for; only its end gives nothing.
    head = b""
    while len(head) < JUDGED_BYTES and (block := opened.stream.read(JUDGED_BYTES - len(head))):
        head += block
    return head


@contextmanager
def damage_told(
    name: str,
    rows_before: list[int] | None = None,
    has_changed: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Turn what a damaged file raises into one line that names the file and the place.

    Args:
        name: of the file.
        rows_before: its last item is how many rows were read; None: none were asked for.
        has_changed: tells whether the file is still being written.

    Raises:
        FileNotReadyError: the file was changed meanwhile, or its disk or share failed.
        InputError: it is damaged.
    """
    try:
        yield
    except InputError:
        raise
    except (*inputs.DAMAGE, pyarrow.ArrowException, OverflowError, ValueError) as error:
        reason = printable(" ".join(str(error).split())[:200]) or type(error).__name__
        # Only the system numbers its errors; those of a format have words alone.
        if isinstance(error, OSError) and error.errno is not None:
            raise FileNotReadyError(f"{name}: cannot be read ({error.strerror})") from error
        if _is_changed(has_changed):
            raise FileNotReadyError(f"{name}: {CHANGED}") from error
        if not rows_before or not rows_before[-1]:
            raise InputError(f"{name}: damaged or not what its name says ({reason})") from error
        raise InputError(f"{name}: breaks off after row {rows_before[-1]:,} ({reason})") from error


def _is_changed(has_changed: Callable[[], bool]) -> bool:
    try:
        return has_changed()
    except OSError:
        return True  # it is not even there any more
