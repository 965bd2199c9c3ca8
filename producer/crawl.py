"""A crawl's files: found, checked before anything is loaded, then read a row at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from core.errors import InputError
from producer.columns import ColumnOptions, Columns, find_columns
from producer.encodings import find_encoding
from producer.formats import SUFFIXES, TEXT_SUFFIXES, format_of, open_reader
from producer.rows import Document, Reject, RowRules, storable

HASH_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class CrawlFile:
    """One file of a crawl, as it will be read. `columns` is None when it has no data row."""

    path: Path
    sha256: str
    bytes: int
    format: str
    encoding: str | None
    columns: Columns | None

    @property
    def name(self) -> str:
        """Its name as text: one of other bytes (CP949 from an old archive) is shown with marks."""
        return storable(self.path.name)

    def record(self) -> dict[str, Any]:
        """What the `crawl` row keeps of it."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "format": self.format,
            "encoding": self.encoding,
            "columns": None if self.columns is None else self.columns.__dict__,
        }


def find_files(
    paths: Sequence[Path], options: ColumnOptions, encoding: str | None
) -> list[CrawlFile]:
    """Check every file of a crawl: that it is there, its format, encoding and columns.

    A directory stands for the files in it whose suffix we read, sorted by name.

    Raises:
        InputError: the first thing that is wrong, naming the file.
    """
    try:
        return [_check(path, options, encoding) for path in _expand(paths)]
    except OSError as error:
        where, reason = error.filename or "a file", error.strerror or type(error).__name__
        raise InputError(f"{where}: cannot be read ({reason})") from error


def _expand(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inside = sorted(
                child
                for child in path.iterdir()
                if child.is_file() and child.suffix.lower() in SUFFIXES
            )
            if not inside:
                known = ", ".join(sorted(SUFFIXES))
                raise InputError(f"{path}: a directory without data ({known})")
            yield from inside
        elif path.exists():
            yield path
        else:
            raise InputError(f"{path}: no such file")


def _check(path: Path, options: ColumnOptions, encoding: str | None) -> CrawlFile:
    kind = format_of(path)
    digest = _sha256(path)
    settled = find_encoding(path, encoding) if path.suffix.lower() in TEXT_SUFFIXES else None
    with open_reader(path, settled) as reader:
        found = reader.columns
    columns = find_columns(found, options, path.name) if found else None
    return CrawlFile(path, digest, path.stat().st_size, kind, settled, columns)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def read(
    file: CrawlFile, zone: ZoneInfo, on_fraction: Callable[[float], None] | None = None
) -> Iterator[Document | Reject]:
    """Read one file, in order; every data row is one of the two.

    Args:
        file: as `find_files` checked it.
        zone: of times that name none.
        on_fraction: told how much of the file is read, 0 to 1, now and then.

    Raises:
        InputError: the file breaks off or is damaged; rows before that were given.
    """
    if file.columns is None:
        return
    make_id = None
    if file.columns.external_id is None:
        # The same file sent twice makes the same ids; equal words in two rows stay two documents.
        make_id = f"{file.sha256}:{{}}".format
    rules = RowRules(zone, make_id)
    with open_reader(file.path, file.encoding) as reader:
        for row in reader.rows(file.columns):
            if on_fraction is not None and row.row_number % 1_000 == 0:
                on_fraction(reader.fraction())
            yield row if isinstance(row, Reject) else rules.read(row)
