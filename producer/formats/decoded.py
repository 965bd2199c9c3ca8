"""A stream of bytes as pieces of text that end where a line ends.

Memory stays within the bound of a row. It knows encodings and line ends, nothing of formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from producer.encodings import decode
from producer.formats.reader import MAX_ROW_CHARACTERS

CUT_CHARACTERS = 1 << 13  # of a line too long to be held: enough to show it
READ_BYTES = 1 << 19  # some 5,000 rows of a crawl


def read_text(stream: BinaryIO, encoding: str) -> Iterator[str]:
    """Decode a stream piece by piece.

    Raises:
        UnicodeDecodeError: it ends within a character, or the encoding cannot mark what is wrong.
    """
    return decode(iter(lambda: stream.read(READ_BYTES), b""), encoding)


@dataclass(frozen=True)
class Piece:
    """Whole lines of a file. `cut`: it is the beginning of a line that is too long to be held."""

    text: str
    cut: bool = False


def read_lines(stream: BinaryIO, encoding: str, *, ends: str) -> Iterator[Piece]:
    """Read a stream as pieces of whole lines; the last may lack its line end.

    Args:
        stream: of bytes.
        encoding: of them.
        ends: the characters that end a line.
    """
    kept: list[str] = []  # of a line whose end is not read yet
    size = 0
    skipping = False
    for text in read_text(stream, encoding):
        cut_at = 1 + max(text.rfind(end) for end in ends)
        if text.endswith("\r"):  # its newline may come with the next piece
            cut_at = 1 + max(text.rfind(end, 0, len(text) - 1) for end in ends)
        if not cut_at:
            size += len(text)
            if size <= MAX_ROW_CHARACTERS:
                kept.append(text)
            elif not skipping:
                skipping = True
                yield Piece("".join(kept)[:CUT_CHARACTERS], cut=True)
                kept.clear()
            continue
        whole, rest = text[:cut_at], text[cut_at:]
        if skipping:
            first = min(at for at in map(whole.find, ends) if at >= 0)
            whole, skipping = whole[first + 1 :], False
        yield Piece("".join(kept) + whole)
        kept, size = [rest], len(rest)
    if not skipping and any(kept):
        yield Piece("".join(kept))
