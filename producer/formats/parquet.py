"""Parquet, a batch of rows at a time, only the columns that are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from producer.blocks import RawBlock
from producer.columns import Columns
from producer.formats.reader import BLOCK_ROWS
from producer.held import hold_row
from producer.plain import value_at

ROWS_AT_ONCE = 64
BLOCK_BYTES = 4 << 20
BUFFER_BYTES = 1 << 20  # a column is read by the piece: a row group may hold all of a large file


class ParquetReader:
    """Columns as Arrow has them; only a row that is odd becomes Python objects."""

    def __init__(self, stream: BinaryIO) -> None:
        self.notes: list[str] = []
        self._file = pyarrow.parquet.ParquetFile(stream, buffer_size=BUFFER_BYTES, pre_buffer=False)
        self._total = int(self._file.metadata.num_rows)
        self._done = 0
        self.columns = list(self._file.schema_arrow.names)
        self.has_rows = self._total > 0

    def blocks(self, columns: Columns) -> Iterator[RawBlock]:
        """See `Reader`."""
        for batch in self._batches(columns):
            numbers = range(self._done + 1, self._done + 1 + batch.num_rows)
            values = {name: batch.column(name) for name in columns.names}
            self._done += batch.num_rows
            yield RawBlock(numbers, values, _holder(values), characters=int(batch.nbytes))
        if self._done != self._total:
            raise EOFError(f"{self._total:,} rows were promised")

    def _batches(self, columns: Columns) -> Iterator[pa.RecordBatch]:
        """Few rows at a time, put together until they are a block: a row may be a megabyte."""
        some: list[pa.RecordBatch] = []
        rows = size = 0
        for batch in self._file.iter_batches(batch_size=ROWS_AT_ONCE, columns=columns.names):
            for part, part_size in _parts(batch):
                some.append(part)
                rows, size = rows + part.num_rows, size + part_size
                if rows >= BLOCK_ROWS or size >= BLOCK_BYTES:
                    yield pa.concat_batches(some)
                    some, rows, size = [], 0, 0
        if some:
            yield pa.concat_batches(some)

    def fraction(self) -> float | None:
        """See `Reader`."""
        return self._done / max(1, self._total)


def _parts(batch: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Rows of no more than about `BLOCK_BYTES`, and their bytes."""
    size = sum(map(_bytes, batch.columns))
    rows = max(1, batch.num_rows * BLOCK_BYTES // max(size, BLOCK_BYTES))
    for start in range(0, batch.num_rows, rows):
        part = batch.slice(start, rows)
        yield part, size * part.num_rows // batch.num_rows


def _bytes(column: pa.Array) -> int:
    kind = column.type
    if not pa.types.is_dictionary(kind) or not pa.types.is_string(kind.value_type):
        return int(column.nbytes)
    # Written once and pointed at from many rows, for which it will stand again and again.
    lengths = pc.binary_length(column.dictionary).take(column.indices)
    return int(pc.sum(lengths).as_py() or 0)


def _holder(values: dict[str, Any]) -> Any:
    return lambda at: hold_row({name: value_at(column, at) for name, column in values.items()})
