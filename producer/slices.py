"""Blocks of rows as slices, each one transaction, and which of its documents are new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import pyarrow as pa

from producer.blocks import DOCUMENTS, Block
from producer.crawl import CrawlFile, read
from producer.rows import MAX_TEXT_BYTES, Reject

SLICE_ROWS = 32_768  # eight chunks: one transaction of some tenths of a second
SLICE_CHARACTERS = 4_000_000  # of rows as they were: bounds the memory of a load


@dataclass
class Slice:
    """Rows on their way to one transaction, and how many bytes of the crawl are read with them."""

    parts: list[tuple[str, Block]] = field(default_factory=list)
    rows: int = 0
    characters: int = 0
    bytes_read: float = 0.0

    def add(self, file: str, block: Block) -> None:
        """Add a block of a file."""
        self.parts.append((file, block))
        self.rows += block.rows
        self.characters += block.characters

    @property
    def full(self) -> bool:
        """Whether it is to be written."""
        return self.rows >= SLICE_ROWS or self.characters >= SLICE_CHARACTERS

    def documents(self) -> pa.Table:
        """All its documents, in order, of the schema `DOCUMENTS`."""
        return pa.concat_tables(
            [DOCUMENTS.empty_table(), *(b.documents for _file, b in self.parts)]
        )

    def rejects(self) -> Iterator[tuple[str, Reject]]:
        """What the rules refused, with the file."""
        return ((file, reject) for file, block in self.parts for reject in block.rejects)

    def refuse(self, place: int, code: str, message: str) -> tuple[str, Reject]:
        """The reject of a document, by its place among all, that cannot be one after all."""
        for file, block in self.parts:
            if place < block.documents.num_rows:
                row = block.documents.slice(place, 1).to_pylist()[0]
                number = row["row_number"]
                held = block.hold_row(number)
                return file, Reject(number, code, message, held, row["external_id"])
            place -= block.documents.num_rows
        raise IndexError(place)


def make_slices(
    files: Sequence[CrawlFile], zone: ZoneInfo, max_text_bytes: int = MAX_TEXT_BYTES
) -> Iterator[Slice]:
    """Read all files of a crawl in order.

    Raises:
        InputError: a file breaks off.
    """
    current, before = Slice(), 0
    within: list[float] = []
    for file in files:
        for block in read(file, zone, max_text_bytes, within.append):
            current.add(file.name, block)
            current.bytes_read = before + within[-1]
            within.clear()
            if current.full:
                yield current
                current = Slice(bytes_read=current.bytes_read)
        before += file.size
        current.bytes_read = before
    if current.rows:
        yield current


@dataclass(frozen=True)
class Sorted:
    """What becomes of a slice's documents, by their places."""

    accepted: list[int]
    duplicates: int
    conflicts: list[int]


def sort_out(
    external_ids: Sequence[str], text_hashes: Sequence[str], known: Sequence[tuple[int, str]]
) -> Sorted:
    """Tell new documents from those that the source has, or that stand earlier in the slice.

    Args:
        external_ids: of the documents.
        text_hashes: of their texts.
        known: the places of ids that the source has already, with the hash of the text it has.
    """
    if not known and len(set(external_ids)) == len(external_ids):
        return Sorted(list(range(len(external_ids))), 0, [])
    hashes = {external_ids[place]: text_hash for place, text_hash in known}
    accepted: list[int] = []
    conflicts: list[int] = []
    for place, (external_id, text_hash) in enumerate(zip(external_ids, text_hashes, strict=True)):
        if external_id not in hashes:
            hashes[external_id] = text_hash
            accepted.append(place)
        elif hashes[external_id] != text_hash:
            conflicts.append(place)
    return Sorted(accepted, len(external_ids) - len(accepted) - len(conflicts), conflicts)
