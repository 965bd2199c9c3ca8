"""Rows of files as short words, for tables of cases."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

from producer.blocks import Block, BlockRules
from producer.columns import ColumnOptions, Columns, find_columns
from producer.crawl import ReadOptions, find_files, read
from producer.formats.reader import Reader
from producer.rows import Reject, RowRules
from tests.crawls import SEOUL


def outcomes(path: Path, options: ReadOptions = ReadOptions()) -> list[str]:  # noqa: B008
    """What became of each row of the file or files, in order: its text, or `!` and the code."""
    return [words for file in find_files([path], options) for words in in_order(read(file, SEOUL))]


def outcomes_of(reader: Reader, columns: Columns | None = None) -> list[str]:
    """The same of a reader; without ids, if it has no column `id`."""
    if not reader.has_rows:
        return []
    found = columns or find_columns(reader.columns, ColumnOptions(), "x")
    rules = BlockRules(RowRules(SEOUL, None if found.external_id else str), found)
    return in_order(map(rules.read, reader.blocks(found)))


def in_order(blocks: Iterable[Block]) -> list[str]:
    """The same of blocks. Their rows are numbered from 1 without a gap."""
    words: list[str] = []
    for block in blocks:
        rows = {row["row_number"]: row["text"] for row in block.documents.to_pylist()}
        rows |= {reject.row_number: f"!{reject.code}" for reject in block.rejects}
        assert sorted(rows) == list(range(len(words) + 1, len(words) + 1 + block.rows))
        words += [rows[number] for number in sorted(rows)]
    return words


def rejects_of(path: Path, options: ReadOptions = ReadOptions()) -> list[Reject]:  # noqa: B008
    """The rejected rows."""
    return [
        reject
        for file in find_files([path], options)
        for block in read(file, SEOUL)
        for reject in block.rejects
    ]


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()
