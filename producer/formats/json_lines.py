r"""JSON Lines: one JSON object a line; lines end at `\n` and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from producer.blocks import RawBlock
from producer.columns import Columns
from producer.encodings import has_undecoded
from producer.formats.decoded import Piece, read_lines
from producer.formats.json_rows import make_block, too_long
from producer.formats.json_values import SPACE, parse_line

COLUMN_SAMPLE_ROWS = 1_000  # the columns are the keys of this many first objects
COLUMN_SAMPLE_CHARACTERS = 8 << 20  # ... unless so much holds fewer: it is kept in memory


class JsonLinesReader:
    """A line that is not an object is a rejected row; blank lines are none."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self.notes: list[str] = []
        self.has_rows = False
        self._pieces = read_lines(stream, encoding, ends="\n")
        self._ahead: list[Piece] = []
        self.columns = self._sample()

    def _sample(self) -> list[str]:
        keys: dict[str, None] = {}
        seen = size = 0
        for piece in self._pieces:
            lines = _lines(piece.text)
            if not lines:
                continue  # a file of nothing but newlines is not kept
            self.has_rows = True
            self._ahead.append(piece)
            size += len(piece.text)
            for line in lines:
                value = parse_line(line)
                if isinstance(value, dict):
                    keys.update(dict.fromkeys(value))
                    seen += 1
                if seen == COLUMN_SAMPLE_ROWS:
                    return list(keys)
            if size >= COLUMN_SAMPLE_CHARACTERS:
                break
        return list(keys)

    def blocks(self, columns: Columns) -> Iterator[RawBlock]:
        """See `Reader`."""
        number = 1
        for piece in self._all_pieces():
            if piece.cut:
                yield too_long(number, piece.text, columns)
                number += 1
                continue
            lines = _lines(piece.text)
            values = [parse_line(line) for line in lines]
            suspect = has_undecoded(piece.text)
            yield make_block(values, lines, number, columns, suspect=suspect)
            number += len(lines)

    def fraction(self) -> float | None:
        """See `Reader`."""
        return None

    def _all_pieces(self) -> Iterator[Piece]:
        while self._ahead:
            yield self._ahead.pop(0)
        yield from self._pieces


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip(SPACE)]
