"""Decompress `.gz` and `.zst` as a stream: memory stays flat however large the content is."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import pyarrow

SUFFIXES = {".gz": "gzip", ".zst": "zstd"}

# What a broken stream of either kind raises.
DAMAGE = (OSError, EOFError, zlib.error, pyarrow.ArrowException)


@contextmanager
def decompressed(raw: BinaryIO, kind: str | None) -> Iterator[BinaryIO]:
    """Read through a compression; None: as it is.

    The content's own check sum is checked at its end, and an end that comes too early is an error
    of `DAMAGE`.
    """
    if kind is None:
        yield raw
    elif kind == "gzip":
        with gzip.GzipFile(fileobj=raw, mode="rb") as stream:
            yield cast(BinaryIO, stream)
    else:
        lent = pyarrow.PythonFile(_Lent(raw), mode="r")
        with pyarrow.CompressedInputStream(lent, kind) as stream:
            yield io.BufferedReader(_AsRaw(stream), buffer_size=1 << 18)


class _Lent:
    """A stream for Arrow, which closes what it has read: standard input is read again."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self.read = stream.read

    def close(self) -> None:
        pass


class _AsRaw(io.RawIOBase):
    """Arrow's stream with the ways of Python's."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._stream.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)
