"""What an input row is: a document, or a reject with its reason. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from producer.times import UnreadableTime, parse_time
from sentiment.text import is_blank

MAX_TEXT_BYTES = 1 << 20  # 1 MiB of UTF-8: longer is a file in a cell, not a document
MAX_ID_BYTES = 512  # PostgreSQL's index holds 2,704; longer ids are kept by their hash
MAX_HELD_CHARACTERS = 4_096


@dataclass(frozen=True, slots=True)
class Document:
    """One text with its source's own id and the time it was written, if that is known."""

    row_number: int
    external_id: str
    written_at: datetime | None
    text: str


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is not a document. `row_number` counts data rows from 1."""

    row_number: int
    code: str
    message: str
    held: str


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as a format's reader gives it: three values and the whole of it, for a reject."""

    row_number: int
    text: object
    external_id: object
    written_at: object
    whole: object


class _Refused(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class RowRules:
    """What holds for every row of one file.

    Args:
        zone: of times that name none.
        make_id: from a row number, for a file without an id column.
    """

    zone: ZoneInfo
    make_id: Callable[[int], str] | None

    def read(self, row: RawRow) -> Document | Reject:
        """Check one row. It never raises: a bad row is data."""
        try:
            return Document(
                row.row_number,
                self._external_id(row),
                self._written_at(row.written_at),
                _text(row.text),
            )
        except _Refused as refused:
            return Reject(row.row_number, refused.code, str(refused), held(row.whole))

    def _external_id(self, row: RawRow) -> str:
        if self.make_id is not None:
            return self.make_id(row.row_number)
        value = row.external_id
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        if not isinstance(value, str) or not value.strip():
            raise _Refused("no_id", "the row has no id")
        cleaned = storable(value.strip())
        if len(cleaned.encode()) > MAX_ID_BYTES:
            return "sha256:" + hashlib.sha256(cleaned.encode()).hexdigest()
        return cleaned

    def _written_at(self, value: object) -> datetime | None:
        try:
            return parse_time(value, self.zone)
        except UnreadableTime as error:
            raise _Refused("bad_time", str(error)) from None


def _text(value: object) -> str:
    if value is None or value != value:  # noqa: PLR0124 - NaN, which pandas and JSON make of nothing
        raise _Refused("no_text", "the row has no text")
    if not isinstance(value, str):
        raise _Refused("text_not_string", f"the text is not a string but {type(value).__name__}")
    cleaned = storable(value)
    if is_blank(cleaned):
        raise _Refused("empty_text", "the text is empty")
    if len(cleaned) * 4 > MAX_TEXT_BYTES and len(cleaned.encode()) > MAX_TEXT_BYTES:
        raise _Refused("text_too_long", f"the text is longer than {MAX_TEXT_BYTES} bytes")
    return cleaned


def storable(value: str) -> str:
    """Take out what PostgreSQL cannot hold: NUL is dropped, a lone surrogate becomes U+FFFD."""
    if "\x00" in value:
        value = value.replace("\x00", "")
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        # Two surrogates that belong together are one character; what is left over is damage.
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def held(whole: object) -> str:
    """Show a rejected row as it was, as text, cut to `MAX_HELD_CHARACTERS`."""
    if not isinstance(whole, str):
        whole = json.dumps(whole, ensure_ascii=False, default=str)
    return storable(whole[:MAX_HELD_CHARACTERS])
