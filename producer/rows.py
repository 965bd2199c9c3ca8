"""What an input row is: a document, or a reject with its reason. Pure.

These are the rules. `producer.blocks` knows rows by the thousand that plainly keep them, and hands
every other row to this.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from producer.held import BAD_BYTES_CODE, BAD_BYTES_MESSAGE, Held
from producer.storable import is_storable, storable, storable_json
from producer.times import UnreadableTime, parse_time
from sentiment.text import is_blank

MAX_TEXT_BYTES = 1 << 20  # 1 MiB of UTF-8: longer is a file in a cell, not a document
MAX_ID_BYTES = 512  # PostgreSQL's index holds 2,704; longer ids are kept by their hash


class BadBytes:
    """Stands for a value whose bytes are not of its encoding."""


BAD_BYTES = BadBytes()


@dataclass(frozen=True, slots=True)
class Document:
    """One text with its source's own id and the time it was written, if that is known.

    `repaired`: something that cannot be stored was taken out. `extra`: kept columns, as JSON.
    """

    row_number: int
    external_id: str
    written_at: datetime | None
    text: str
    repaired: bool = False
    extra: str | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is not a document. `row_number` counts data rows from 1.

    `external_id` is the one that the document would have had, where that is known.
    """

    row_number: int
    code: str
    message: str
    held: Held
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as a format's reader gives it. `hold` shows the whole of it, for a reject."""

    row_number: int
    text: object
    external_id: object
    written_at: object
    hold: Callable[[], Held]
    extra: Mapping[str, object] | None = None


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
        max_text_bytes: of UTF-8.
    """

    zone: ZoneInfo
    make_id: Callable[[int], str] | None
    max_text_bytes: int = MAX_TEXT_BYTES

    def read(self, row: RawRow) -> Document | Reject:
        """Check one row. It never raises: a bad row is data."""
        external_id: str | None = None
        try:
            _require_decoded(row)
            external_id, id_repaired = self._external_id(row)
            written_at = self._written_at(row.written_at)
            text, text_repaired = self._text(row.text)
            extra, extra_repaired = _extra(row.extra)
        except _Refused as refused:
            return Reject(row.row_number, refused.code, str(refused), row.hold(), external_id)
        repaired = id_repaired or text_repaired or extra_repaired
        return Document(row.row_number, external_id, written_at, text, repaired, extra)

    def _external_id(self, row: RawRow) -> tuple[str, bool]:
        if self.make_id is not None:
            return self.make_id(row.row_number), False
        value = _digits(row.external_id)
        if not isinstance(value, str) or not value.strip():
            raise _Refused("no_id", "the row has no id")
        cleaned = storable(value).strip()
        if not cleaned:
            raise _Refused("no_id", "the row has no id")
        if len(cleaned.encode()) > MAX_ID_BYTES:
            cleaned = "sha256:" + hashlib.sha256(cleaned.encode()).hexdigest()
        return cleaned, storable(value) != value

    def _written_at(self, value: object) -> datetime | None:
        try:
            return parse_time(value, self.zone)
        except UnreadableTime as error:
            raise _Refused("bad_time", str(error)) from None

    def _text(self, value: object) -> tuple[str, bool]:
        if value is None or value != value:  # noqa: PLR0124 - NaN, which pandas and JSON make of nothing
            raise _Refused("no_text", "the row has no text")
        if not isinstance(value, str):
            kind = type(value).__name__
            raise _Refused("text_not_string", f"the text is not a string but {kind}")
        cleaned = storable(value)
        if is_blank(cleaned):
            raise _Refused("empty_text", "the text is empty")
        limit = self.max_text_bytes
        if len(cleaned) * 4 > limit and len(cleaned.encode()) > limit:
            raise _Refused("text_too_long", f"the text is longer than {limit} bytes")
        return cleaned, cleaned != value


def _require_decoded(row: RawRow) -> None:
    values = (row.text, row.external_id, row.written_at, *(row.extra or {}).values())
    if any(value is BAD_BYTES for value in values):
        raise _Refused(BAD_BYTES_CODE, BAD_BYTES_MESSAGE)


def _digits(value: object) -> object:
    """An id that is a number, by its digits. A table with gaps makes 7.0 of 7."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value) if isinstance(value, int | Decimal) else value


def _extra(values: Mapping[str, object] | None) -> tuple[str | None, bool]:
    if not values:
        return None, False
    return storable_json(values), not is_storable(values)
