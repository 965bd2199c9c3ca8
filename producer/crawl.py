"""A crawl's files: found, checked before anything is loaded, then read a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from core.errors import FileNotReadyError, InputError
from producer.blocks import Block, BlockRules
from producer.columns import ColumnOptions, Columns, find_columns
from producer.formats.opening import CHANGED, damage_told, open_reader, settle_format
from producer.inputs import STDIN, Input, find_inputs
from producer.rows import MAX_TEXT_BYTES, RowRules
from producer.storable import storable


@dataclass(frozen=True)
class ReadOptions:
    """What the command line says of how files are read. None: find it."""

    columns: ColumnOptions = field(default_factory=ColumnOptions)
    encoding: str | None = None
    format: str | None = None
    """Of standard input."""
    pattern: str | None = None
    """Of names in directories."""


@dataclass(frozen=True)
class CrawlFile:
    """One file of a crawl, as it will be read. `columns` is None when it has no data row."""

    input: Input
    sha256: str
    key: str | None
    """Begins the ids of a file that has no id column: the digest of its content."""
    format: str
    encoding: str | None
    columns: Columns | None
    options: ColumnOptions

    @property
    def name(self) -> str:
        """Its name as text: one of other bytes (CP949 from an old archive) is shown with marks."""
        return storable(self.input.name)

    @property
    def size(self) -> int:
        """Its bytes as they lie there, compressed."""
        return self.input.size

    def record(self) -> dict[str, Any]:
        """What the `crawl` row keeps of it."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "bytes": self.size,
            "format": self.format,
            "compression": self.input.kind.compression,
            "encoding": self.encoding,
            "columns": None if self.columns is None else asdict(self.columns),
        }


def find_files(
    paths: Sequence[Path],
    options: ReadOptions,
    *,
    on_note: Callable[[str], None] = lambda _note: None,
) -> list[CrawlFile]:
    """Check every file of a crawl: that it is there, its format, encoding and columns.

    Args:
        paths: files, directories, archives, or `-` for standard input.
        options: of reading them.
        on_note: told what a person should know: files passed over, files without a row.

    Raises:
        InputError: the first thing that is wrong, naming the file.
    """
    try:
        inputs = find_inputs(paths, pattern=options.pattern, format=options.format, on_note=on_note)
    except OSError as error:
        where, reason = error.filename or "a file", error.strerror or type(error).__name__
        raise InputError(f"{storable(str(where))}: cannot be read ({reason})") from error
    return [_check(found, options, on_note) for found in inputs]


def _check(found: Input, options: ReadOptions, on_note: Callable[[str], None]) -> CrawlFile:
    with damage_told(found.name, has_changed=found.has_changed):
        format_, encoding = settle_format(found, options.encoding)
        with open_reader(found, format_, encoding, options.columns) as (reader, _opened):
            columns = (
                find_columns(reader.columns, options.columns, found.name)
                if reader.has_rows
                else None
            )
            for note in reader.notes:
                on_note(note)
        if columns is None:
            on_note(f"{found.name}: no data row")
        without_id = columns is not None and columns.external_id is None
        if without_id and str(found.path) == STDIN:
            raise InputError("standard input has no id column; name one with --id-column")
        key = found.content_sha256() if without_id else None
        return CrawlFile(found, found.sha256(), key, format_, encoding, columns, options.columns)


def read(
    file: CrawlFile,
    zone: ZoneInfo,
    max_text_bytes: int = MAX_TEXT_BYTES,
    on_bytes: Callable[[float], None] = lambda _bytes: None,
) -> Iterator[Block]:
    """Read one file, in order; every data row is a document or a reject.

    Args:
        file: as `find_files` checked it.
        zone: of times that name none.
        max_text_bytes: of UTF-8; a longer text is rejected.
        on_bytes: told how many of the file's bytes are read, before each block.

    Raises:
        InputError: the file breaks off or was changed; blocks before that were given.
    """
    if file.columns is None:
        return
    make_id = None if file.key is None else f"{file.key}:{{}}".format
    rules = BlockRules(RowRules(zone, make_id, max_text_bytes), file.columns)
    rows = [0]
    with damage_told(file.name, rows, has_changed=file.input.has_changed):
        opening = open_reader(file.input, file.format, file.encoding, file.options)
        with opening as (reader, opened):
            for raw in reader.blocks(file.columns):
                block = rules.read(raw)
                rows[-1] += block.rows
                fraction = reader.fraction()
                on_bytes(opened.position() if fraction is None else fraction * file.size)
                yield block
        if file.input.has_changed():
            raise FileNotReadyError(f"{file.name}: {CHANGED}")
