"""A JSON array, streamed: one element in memory at a time.

The standard library parses the elements. (ijson was tried and left: docs/decisions/0004.)
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from producer.blocks import RawBlock
from producer.columns import Columns
from producer.encodings import has_undecoded
from producer.formats.decoded import read_text
from producer.formats.json_lines import COLUMN_SAMPLE_ROWS
from producer.formats.json_rows import make_block
from producer.formats.json_values import SPACE, TOO_DEEP, Bad, end_of_brackets, parse_at
from producer.formats.reader import BLOCK_CHARACTERS, BLOCK_ROWS, MAX_ROW_CHARACTERS

ARRAY, OBJECT = "[", "{"


class JsonArrayReader:
    """An element that is not an object is a rejected row; what is no JSON ends the file."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self.notes: list[str] = []
        self._elements = _Buffer(read_text(stream, encoding)).elements()
        self._ahead: list[tuple[object, str]] = []
        keys: dict[str, None] = {}
        size = objects = 0
        for value, text in self._elements:
            self._ahead.append((value, text))
            size += len(text)
            if isinstance(value, dict):
                keys.update(dict.fromkeys(value))
                objects += 1
            if objects == COLUMN_SAMPLE_ROWS or size > BLOCK_CHARACTERS:
                break
        self.columns = list(keys)
        self.has_rows = bool(self._ahead)

    def blocks(self, columns: Columns) -> Iterator[RawBlock]:
        """See `Reader`."""
        number, size = 1, 0
        values: list[object] = []
        texts: list[str] = []
        for value, text in chain(self._ahead, self._elements):
            values.append(value)
            texts.append(text)
            size += len(text)
            if len(values) == BLOCK_ROWS or size > BLOCK_CHARACTERS:
                yield _block(values, texts, number, columns)
                number, size, values, texts = number + len(values), 0, [], []
        if values:
            yield _block(values, texts, number, columns)

    def fraction(self) -> float | None:
        """See `Reader`."""
        return None


def begins_with(stream: BinaryIO, encoding: str) -> str:
    """The first character that is not white space; nothing where there is none."""
    for text in read_text(stream, encoding):
        if stripped := text.lstrip(SPACE):
            return stripped[0]
    return ""


def _block(values: list[object], texts: list[str], number: int, columns: Columns) -> RawBlock:
    return make_block(values, texts, number, columns, suspect=any(map(has_undecoded, texts)))


class _Buffer:
    """Text that has been read and not yet parsed."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces
        self._text = ""
        self._at = 0
        self._ended = False

    def elements(self) -> Iterator[tuple[object, str]]:
        """Give each element, with its text.

        Raises:
            ValueError: this is not a JSON array, from some place on.
            EOFError: it breaks off.
        """
        opening = self._next_character()
        if opening is None:
            return
        if opening != ARRAY:
            raise ValueError("not a JSON array")
        self._at += 1
        if self._next_character() != "]":
            yield self._element()
            while self._next_character() == ",":
                self._at += 1
                yield self._element()
        closing = self._next_character()
        if closing is None:
            raise EOFError("the array does not end")
        self._at += 1
        if closing != "]" or self._next_character() is not None:
            raise ValueError("not JSON: something stands where none may")

    def _next_character(self) -> str | None:
        while True:
            rest = self._text[self._at : self._at + 64].lstrip(SPACE)
            if rest:
                self._at = self._text.index(rest[0], self._at)
                return rest[0]
            self._at = min(self._at + 64, len(self._text))
            if self._at == len(self._text) and not self._read_on():
                return None

    def _element(self) -> tuple[object, str]:
        if self._next_character() is None:
            raise EOFError("the array does not end")
        while True:
            value, end = parse_at(self._text, self._at)
            if value is TOO_DEEP:
                end = end_of_brackets(self._text, self._at) or self._at
            if end > self._at and (self._ended or end < len(self._text)):
                text = self._text[self._at : end]
                self._at = end
                return value, text
            # Not whole yet, or not JSON: more text will tell.
            if len(self._text) - self._at > MAX_ROW_CHARACTERS or not self._read_on():
                message = value.message if isinstance(value, Bad) else "a value that does not end"
                raise EOFError(message) if self._ended else ValueError(message)

    def _read_on(self) -> bool:
        """Read as much again as is there, at least a piece. False at the end of the file."""
        parts = [self._text[self._at :]]
        size, wanted = len(parts[0]), 2 * len(parts[0])
        for piece in self._pieces:
            parts.append(piece)
            size += len(piece)
            if piece and size >= wanted:
                break
        else:
            self._ended = True
        more = size > len(parts[0])
        self._text, self._at = "".join(parts), 0
        return more or not self._ended
