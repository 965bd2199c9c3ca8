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

# 2026.11.01, 2026. 11. 1., 2026/11/01, 2026-1-1; then, behind a space, a time of day.
_DATE = re.compile(r"(\d{4})\s*([./-])\s*(\d{1,2})\s*\2\s*(\d{1,2})\.?(?:[\sT]+(.+))?", re.DOTALL)
# 2026110109 would be seconds until 2034, which nobody has written yet.
_COMPACT_HOUR = re.compile(r"(19[9]\d|20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])")
_HALF_DAY = re.compile(r"(오전|오후)\s*(\d{1,2})(:.+)")
# As a number; as seconds since 1970 they would all be within that year.
FIRST_COMPACT_DATE, LAST_COMPACT_DATE = FIRST_YEAR * 10_000, LAST_YEAR * 10_000 + 1_231
_EPOCH = re.compile(r"\d{9,13}(?:\.\d+)?")


class UnreadableTime(Exception):
    """A value in the time column that is not a time."""


def parse_time(value: object, zone: ZoneInfo) -> datetime | None:
    """Read a time; None for an empty value.

    Takes ISO 8601 with and without zone, `2026.11.01 09:30`, `2026/11/01`, `20261101`, epoch
    seconds and milliseconds, and what Korean pages show, `2026. 11. 1. 오후 3:05`. A time
    that names no zone is one of `zone`.

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
        value = datetime.combine(value.date(), value.timetz())  # without pandas' nanoseconds
        return _checked(value if value.tzinfo else value.replace(tzinfo=zone))
    if isinstance(value, date):
        return _checked(datetime.combine(value, time(), zone))
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if FIRST_COMPACT_DATE <= value <= LAST_COMPACT_DATE:
            return _parse_text(str(value).removesuffix(".0"), zone)  # 20261101
        return _from_epoch(value)
    raise UnreadableTime(f"not a time: {type(value).__name__}")


@lru_cache(maxsize=4_096)  # a night's crawl repeats its dates
def _parse_text(value: str, zone: ZoneInfo) -> datetime | None:
    if not value:
        return None
    if _COMPACT_HOUR.fullmatch(value):
        raise UnreadableTime("a date and an hour, or seconds since 1970: it cannot be told")
    if _EPOCH.fullmatch(value):
        return _from_epoch(float(value))
    written = _DATE.fullmatch(value)
    if written:
        year, _mark, month, day, clock = written.groups()
        value = f"{year}-{month:0>2}-{day:0>2} {_full_clock(clock or '')}".strip()
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise UnreadableTime("the time cannot be read") from None
    return _checked(parsed if parsed.tzinfo else parsed.replace(tzinfo=zone))


def _full_clock(clock: str) -> str:
    """A time of day as ISO 8601 has it: `9:30` and `오후 3:05` are how many write it."""
    half = _HALF_DAY.fullmatch(clock)
    if half:
        hour = int(half[2]) % 12 + (12 if half[1] == "오후" else 0)
        return f"{hour:02}{half[3]}" if 1 <= int(half[2]) <= 12 else clock  # noqa: PLR2004 - a clock
    return f"0{clock}" if clock[1:2] == ":" else clock


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
