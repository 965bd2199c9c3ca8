"""When a document was written: the many ways in which crawls say it. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

FIRST_YEAR, LAST_YEAR = 1990, 2100
MAX_CHARACTERS = 64  # what is longer is no time, and would only be remembered
EPOCH_MILLISECONDS_FROM = 10**11  # as seconds that is the year 5138, as milliseconds 1973

_KOREAN_DATE = re.compile(r"(\d{4})\s*[./]\s*(\d{1,2})\s*[./]\s*(\d{1,2})\.?")
_EPOCH = re.compile(r"\d{9,13}(?:\.\d+)?")


class UnreadableTime(Exception):
    """A value in the time column that is not a time."""


def parse_time(value: object, zone: ZoneInfo) -> datetime | None:
    """Read a time; None for an empty value.

    Takes ISO 8601 with and without zone, `2026.11.01 09:30`, `2026/11/01`, epoch seconds and
    milliseconds. A time that names no zone is one of `zone`.

    Raises:
        UnreadableTime: anything else, or a year outside 1990 to 2100.
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN and NaT
        return None
    if isinstance(value, str):
        stripped = value.strip()
        if len(stripped) > MAX_CHARACTERS:
            raise UnreadableTime("the time cannot be read")
        return _parse_text(stripped, zone)
    if isinstance(value, datetime):
        return _checked(value if value.tzinfo else value.replace(tzinfo=zone))
    if isinstance(value, date):
        return _checked(datetime.combine(value, time(), zone))
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _from_epoch(value)
    raise UnreadableTime(f"not a time: {type(value).__name__}")


@lru_cache(maxsize=4_096)  # a night's crawl repeats its dates
def _parse_text(value: str, zone: ZoneInfo) -> datetime | None:
    if not value:
        return None
    if _EPOCH.fullmatch(value):
        return _from_epoch(float(value))
    korean = _KOREAN_DATE.match(value)
    if korean:
        year, month, day = korean.groups()
        value = f"{year}-{month:0>2}-{day:0>2} {value[korean.end() :].strip()}".strip()
    try:
        parsed = datetime.fromisoformat(_with_full_hour(value))
    except ValueError:
        raise UnreadableTime("the time cannot be read") from None
    return _checked(parsed if parsed.tzinfo else parsed.replace(tzinfo=zone))


def _with_full_hour(value: str) -> str:
    # `9:30` is how many write `09:30`, and fromisoformat refuses it.
    return re.sub(r"([ T])(\d):", r"\g<1>0\2:", value, count=1)


def _from_epoch(value: float | Decimal) -> datetime:
    try:
        number = float(value)
        seconds = number / 1000 if abs(number) >= EPOCH_MILLISECONDS_FROM else number
        return _checked(datetime.fromtimestamp(seconds, UTC))
    except (OverflowError, OSError, ValueError):
        raise UnreadableTime("the time is out of range") from None


def _checked(value: datetime) -> datetime:
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise UnreadableTime(f"the year is not within {FIRST_YEAR} to {LAST_YEAR}")
    return value
