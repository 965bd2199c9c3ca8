"""Which values of a column are plain: surely good, and stored as they are. Whole columns at once.

Values are an Arrow array, or a list of Python objects from a reader that has no better. A column
that is not of one fitting type has no plain values: the row rules look at each.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from producer.rows import BAD_BYTES, MAX_ID_BYTES
from producer.times import UnreadableTime, parse_time

Values: TypeAlias = Any
"""`pyarrow.Array | list[object]`; pyarrow has no types."""

INSTANT = pa.timestamp("us", "UTC")

# One character that the text rules keep, whatever stands around it: the text is not blank.
_KEPT_CHARACTER = "[!-~ㄱ-ㅣㅥ-ㆎ가-힣]"
# Nothing that is stripped, dropped or folded, and no control character.
_PLAIN_ID = "^[!-~ㄱ-ㅣㅥ-ㆎ가-힣]+$"

# What Arrow says of values that are not of one type, too large, or not of their encoding.
_UNFIT = (pa.ArrowException, OverflowError, UnicodeError, ValueError, TypeError)


def plain_texts(values: Values, max_bytes: int) -> tuple[pa.Array, pa.Array]:
    """Texts, and which of them are plain.

    Returns:
        `large_string [rows]`, null where a value is no string, and `bool [rows]`.
    """
    texts = _strings(values)
    ok = pc.and_(
        pc.match_substring_regex(texts, _KEPT_CHARACTER),
        pc.and_not(
            pc.less_equal(pc.binary_length(texts), max_bytes), pc.match_substring(texts, "\x00")
        ),
    )
    return texts, pc.fill_null(ok, False)


def plain_ids(values: Values) -> tuple[pa.Array, pa.Array]:
    """Ids as text (a whole number by its digits), and which of them are plain.

    Returns:
        `large_string [rows]` and `bool [rows]`.
    """
    if isinstance(values, list) and set(map(type, values)) == {int}:
        values = _tried(lambda: pa.array(values, pa.int64()), values)
    if not isinstance(values, list) and pa.types.is_integer(values.type):
        values = values.cast(pa.large_string())
    ids = _strings(values)
    ok = pc.and_(
        pc.match_substring_regex(ids, _PLAIN_ID), pc.less_equal(pc.binary_length(ids), MAX_ID_BYTES)
    )
    return ids, pc.fill_null(ok, False)


def plain_times(
    values: Values | None, size: int, zone: ZoneInfo
) -> tuple[pa.Array, pa.Array | None]:
    """Times, and which of them could be read; each different value is parsed once.

    Returns:
        `timestamp[us, UTC] [rows]`, null where there is none, and `bool [rows]` or None for all.
    """
    if values is None:
        return pa.nulls(size, INSTANT), None
    nothing = pa.nulls(size, INSTANT), pa.repeat(False, size)
    if isinstance(values, list) and len(set(map(type, values)) - {type(None)}) > 1:
        return nothing  # of dates and times Arrow would make dates
    try:
        array = pa.array(values) if isinstance(values, list) else values
        if pa.types.is_timestamp(array.type):
            # Nanoseconds are cut off; a second that does not fit is an error, not another time.
            array = array.cast(pa.timestamp("us", array.type.tz), safe=array.type.unit != "ns")
        encoded = array.dictionary_encode(null_encoding="mask")
        different = encoded.dictionary.to_pylist()
    except _UNFIT:
        return nothing
    parsed = [_parse(value, zone) for value in different]
    good = pa.array([not isinstance(value, UnreadableTime) for value in parsed], pa.bool_())
    instants = pa.array([v if isinstance(v, datetime) else None for v in parsed], INSTANT)
    return instants.take(encoded.indices), pc.fill_null(good.take(encoded.indices), True)


def value_at(values: Values, place: int) -> object:
    """One value as Python has it; `BAD_BYTES` where its bytes are not of its encoding."""
    if isinstance(values, list):
        return values[place]
    try:
        return values[place].as_py()
    except UnicodeDecodeError:
        return BAD_BYTES
    except (OverflowError, ValueError):
        return UnreadableValue(getattr(values[place], "value", None))


class UnreadableValue:
    """A value that Python cannot hold, such as a time in the year 300000: no rule accepts it.

    As text it is its number in Arrow.
    """

    def __init__(self, number: object) -> None:
        self._number = number

    def __str__(self) -> str:
        return str(self._number)


def _strings(values: Values) -> pa.Array:
    if isinstance(values, list):
        texts = _tried(lambda: pa.array(values, pa.large_string()), None)
        if texts is not None:
            return texts
        only = [value if _is_string(value) else None for value in values]
        return pa.array(only, pa.large_string())
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    nulls = pa.nulls(len(values), pa.large_string())
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if not any(is_kind(values.type) for is_kind in kinds):
        return nulls
    # By way of bytes, because Arrow believes a file that its strings are UTF-8.
    checked = _tried(lambda: values.cast(pa.large_binary()).cast(pa.large_string()), None)
    return nulls if checked is None else checked


def _is_string(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parse(value: object, zone: ZoneInfo) -> datetime | UnreadableTime | None:
    try:
        return parse_time(value, zone)
    except UnreadableTime as error:
        return error


def _tried(make: Any, otherwise: Any) -> Any:
    try:
        return make()
    except _UNFIT:
        return otherwise
