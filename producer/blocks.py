"""Rows by the thousand: whole columns checked at once, what is not plain handed to the row rules.

A value is plain when it surely keeps the rules of `producer.rows` and is stored as it is; only that
is decided here, never that a row is bad. So both ways come to the same documents.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from producer.columns import Columns
from producer.held import Held
from producer.plain import Values, plain_ids, plain_texts, plain_times, value_at
from producer.rows import Document, RawRow, Reject, RowRules
from producer.storable import storable, storable_json

DOCUMENTS = pa.schema(
    [
        ("row_number", pa.int64()),
        ("external_id", pa.large_string()),
        ("written_at", pa.timestamp("us", "UTC")),
        ("text", pa.large_string()),
        ("text_hash", pa.string()),
        ("repaired", pa.bool_()),
        ("extra", pa.large_string()),
    ]
)


HASH_DIGITS = 32  # hexadecimal, of document.text_hash


@dataclass(frozen=True)
class RawBlock:
    """Rows as a format's reader gives them, by column.

    Args:
        numbers: of the rows, counted from 1 in their file.
        values: of each column that is read, as long as `numbers`.
        hold: shows the row at a place as it was.
        rejects: rows between these that the reader itself could make nothing of.
        characters: about as many as it keeps in memory for `hold`.
    """

    numbers: Sequence[int]
    values: Mapping[str, Values]
    hold: Callable[[int], Held]
    rejects: Sequence[Reject] = ()
    characters: int = 0


@dataclass(frozen=True)
class Block:
    """Rows after the rules. `documents` is a table of the schema `DOCUMENTS`, in row order."""

    documents: pa.Table
    rejects: list[Reject]
    hold_row: Callable[[int], Held]
    """Shows the row of a number as it was."""
    characters: int
    """About as many as it keeps in memory: of its rows as they were, and of its rejects."""

    @property
    def rows(self) -> int:
        """How many rows of the file these are."""
        return int(self.documents.num_rows) + len(self.rejects)


@dataclass(frozen=True)
class BlockRules:
    """What holds for every row of one file: the row rules, and the columns that they look at."""

    rules: RowRules
    columns: Columns

    def read(self, raw: RawBlock) -> Block:
        """Check a block of rows. It never raises: a bad row is data."""
        documents, slow = self._plain_documents(raw)
        rejects = [self._with_id(reject) for reject in raw.rejects]
        if slow:
            read = [self.rules.read(self._row(raw, place)) for place in slow]
            rejects += [row for row in read if isinstance(row, Reject)]
            others = [row for row in read if isinstance(row, Document)]
            if others:
                documents = pa.concat_tables([documents, _as_table(others)]).sort_by("row_number")
            rejects.sort(key=lambda reject: reject.row_number)
        numbers = raw.numbers
        return Block(
            _hashed(documents),
            rejects,
            lambda number: raw.hold(bisect_left(numbers, number)),
            raw.characters + sum(len(reject.held.text) for reject in rejects),
        )

    def _with_id(self, reject: Reject) -> Reject:
        """Give a row that the reader refused the id that it would have had by its number."""
        if self.rules.make_id is None:
            return reject
        return replace(reject, external_id=self.rules.make_id(reject.row_number))

    def _plain_documents(self, raw: RawBlock) -> tuple[pa.Table, list[int]]:
        """The rows that are plain in every column, and the places of all others."""
        columns, values = self.columns, raw.values
        size = len(raw.numbers)
        text, text_ok = plain_texts(values[columns.text], self.rules.max_text_bytes)
        written_at = None if columns.written_at is None else values[columns.written_at]
        times, times_ok = plain_times(written_at, size, self.rules.zone)
        if self.rules.make_id is not None:
            made = [self.rules.make_id(number) for number in raw.numbers]
            ids, ids_ok = pa.array(made, pa.large_string()), None
        else:
            ids, ids_ok = plain_ids(values[columns.external_id or ""])
        ok = text_ok
        for also in (times_ok, ids_ok):
            ok = ok if also is None else pc.and_(ok, also)
        extra, extra_ok = self._extra(raw, size)
        ok = ok if extra_ok is None else pc.and_(ok, extra_ok)
        numbers = pa.array(raw.numbers, pa.int64())
        repaired = pa.repeat(False, size)
        arrays = [numbers, ids, times, text, pa.nulls(size, pa.string()), repaired, extra]
        table = pa.Table.from_arrays(arrays, schema=DOCUMENTS)
        if pc.all(ok, min_count=0).as_py():
            return table, []
        slow = [place for place, plain in enumerate(ok.to_pylist()) if not plain]
        return table.filter(ok), slow

    def _extra(self, raw: RawBlock, size: int) -> tuple[pa.Array, pa.Array | None]:
        if not self.columns.keep:
            return pa.nulls(size, pa.large_string()), None
        written: list[str | None] = []
        plain: list[bool] = []
        for place in range(size):
            kept = self._kept(raw, place)
            # Whatever is taken out of a value counts as a repair: that is for the row rules.
            plain.append(all(map(_is_plain, kept.values())))
            written.append(storable_json(kept) if kept and plain[-1] else None)
        return pa.array(written, pa.large_string()), pa.array(plain, pa.bool_())

    def _kept(self, raw: RawBlock, place: int) -> dict[str, object]:
        kept = {name: value_at(raw.values[name], place) for name in self.columns.keep}
        return {name: value for name, value in kept.items() if value is not None}

    def _row(self, raw: RawBlock, place: int) -> RawRow:
        columns = self.columns

        def value(name: str | None) -> object:
            return None if name is None else value_at(raw.values[name], place)

        return RawRow(
            raw.numbers[place],
            value(columns.text),
            value(columns.external_id),
            value(columns.written_at),
            lambda: raw.hold(place),
            self._kept(raw, place),
        )


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return storable(value) == value
    return isinstance(value, bool | int | float)


def _hashed(documents: pa.Table) -> pa.Table:
    """Fill in what tells one text from another: 16 bytes of its SHA-256, as `bytea` reads them."""
    texts = documents["text"].cast(pa.large_binary()).to_pylist()
    hashes = ["\\x" + hashlib.sha256(text).hexdigest()[:HASH_DIGITS] for text in texts]
    place = DOCUMENTS.get_field_index("text_hash")
    return documents.set_column(place, DOCUMENTS.field(place), pa.array(hashes, pa.string()))


def _as_table(documents: Sequence[Document]) -> pa.Table:
    rows: dict[str, list[Any]] = {name: [] for name in DOCUMENTS.names}
    for document in documents:
        for name, values in rows.items():
            values.append(getattr(document, name, None))
    return pa.table(rows, schema=DOCUMENTS)
