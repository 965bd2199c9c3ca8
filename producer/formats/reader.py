"""What a reader of a format is, and the bounds that all of them keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from producer.blocks import RawBlock
from producer.columns import Columns

BLOCK_ROWS = 8_192
BLOCK_CHARACTERS = 2 << 20
MAX_ROW_CHARACTERS = 8 << 20  # a row that is longer is refused without being held in memory


class Reader(Protocol):
    """One open file. `blocks` may be called once."""

    columns: list[str]
    """The names found."""

    has_rows: bool
    """Whether there is any data row."""

    notes: list[str]
    """What a person should know of how it is read."""

    def blocks(self, columns: Columns) -> Iterator[RawBlock]:
        """Give the data rows in order, numbered from 1; no header, no blank line.

        Raises:
            OSError: or another of `producer.inputs.DAMAGE`, or ValueError: the file breaks off.
        """

    def fraction(self) -> float | None:
        """How much of the rows has been given, 0 to 1; None: as much as of the bytes."""
