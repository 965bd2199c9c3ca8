"""The calendar of nights, as tables: no database, no clock but the one given."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from db.nights import Night, Nightly
from producer.nights import (
    DueNight,
    due_nights,
    instant_of,
    latest_due,
    next_night,
    open_nights,
)

SEOUL, NEW_YORK = ZoneInfo("Asia/Seoul"), ZoneInfo("America/New_York")
TWO = dt.time(2, 0)


def _nightly(missed: str = "catch-up", first: str = "2026-11-01", at: dt.time = TWO) -> Nightly:
    date = dt.date.fromisoformat(first)
    return Nightly("blog", "naver", "/crawls/{date}/*", at, missed, {}, date, id=1)


def _night(date: str, state: str, *, next_try: str | None = None, held: bool = False) -> Night:
    at = None if next_try is None else _seoul(next_try)
    return Night(dt.date.fromisoformat(date), state, 1, "why", None, at, held)


def _seoul(words: str) -> dt.datetime:
    return dt.datetime.fromisoformat(words).replace(tzinfo=SEOUL)


def _due(nightly: Nightly, now: str, *recorded: Night) -> list[str]:
    """Dates to be run; `-` before those to be skipped."""
    due = due_nights(nightly, {night.date: night for night in recorded}, _seoul(now), SEOUL)
    return [f"{'-' * night.skip}{night.date:%m-%d}" for night in due]


@pytest.mark.parametrize(
    ("now", "missed", "recorded", "expected"),
    [
        ("2026-11-01 01:59:59", "catch-up", [], []),
        ("2026-11-01 02:00:00", "catch-up", [], ["11-01"]),
        ("2026-11-03 02:00", "catch-up", [], ["11-01", "11-02", "11-03"]),
        ("2026-11-03 02:00", "skip", [], ["-11-01", "-11-02", "11-03"]),
        ("2026-11-03 03:00", "skip", [], ["-11-01", "-11-02", "11-03"]),
        ("2026-11-03 03:00:01", "skip", [], ["-11-01", "-11-02", "-11-03"]),
        ("2026-11-03 09:00", "catch-up", [("11-01", "done"), ("11-02", "skipped")], ["11-03"]),
        ("2026-11-03 09:00", "catch-up", [("11-02", "done")], ["11-01", "11-03"]),
        ("2026-11-01 09:00", "catch-up", [("11-01", "failed")], []),
    ],
)
def test_nights_without_a_row(
    now: str, missed: str, recorded: list[tuple[str, str]], expected: list[str]
) -> None:
    nights = [_night(f"2026-{date}", state) for date, state in recorded]
    assert _due(_nightly(missed), now, *nights) == expected


@pytest.mark.parametrize(
    ("night", "now", "is_due"),
    [
        # A late crawl is looked for until the next night begins.
        (_night("2026-11-01", "missing", next_try="2026-11-01 02:10"), "2026-11-01 02:09", False),
        (_night("2026-11-01", "missing", next_try="2026-11-01 02:10"), "2026-11-01 02:10", True),
        (_night("2026-11-01", "missing", next_try="2026-11-01 02:10"), "2026-11-02 01:59", True),
        (_night("2026-11-01", "missing", next_try="2026-11-01 02:10"), "2026-11-02 02:00", False),
        # A service that was away is waited for, however long.
        (_night("2026-11-01", "waiting", next_try="2026-11-01 02:01"), "2026-11-01 02:00", False),
        (_night("2026-11-01", "waiting", next_try="2026-11-01 02:01"), "2026-11-09 02:00", True),
        # Broken off: at once. Being run: not.
        (_night("2026-11-01", "running"), "2026-11-01 02:00:01", True),
        (_night("2026-11-01", "running", held=True), "2026-11-09 02:00", False),
    ],
)
def test_nights_with_a_row(night: Night, now: str, is_due: bool) -> None:
    assert ("11-01" in _due(_nightly(), now, night)) is is_due


def test_the_attempt_that_was_seen_is_told() -> None:
    night = _night("2026-11-01", "running")
    now = _seoul("2026-11-02 02:00")
    assert due_nights(_nightly(), {night.date: night}, now, SEOUL) == [
        DueNight(night.date, 1),
        DueNight(dt.date(2026, 11, 2), 0),
    ]


@pytest.mark.parametrize(
    ("date", "at", "utc"),
    [
        ("2026-03-07", "02:30", "2026-03-07 07:30"),
        ("2026-03-08", "02:30", "2026-03-08 07:30"),  # skipped by the clock: 03:30
        ("2026-03-09", "02:30", "2026-03-09 06:30"),
        ("2026-10-31", "01:30", "2026-10-31 05:30"),
        ("2026-11-01", "01:30", "2026-11-01 05:30"),  # shown twice: the first
        ("2026-11-02", "01:30", "2026-11-02 06:30"),
    ],
)
def test_a_clock_that_is_put_forward_or_back(date: str, at: str, utc: str) -> None:
    found = instant_of(dt.date.fromisoformat(date), dt.time.fromisoformat(at), NEW_YORK)
    assert found == dt.datetime.fromisoformat(f"{utc}+00:00")


@pytest.mark.parametrize("at", ["00:00", "01:30", "02:30", "23:59"])
@pytest.mark.parametrize("zone", ["America/New_York", "America/Santiago", "Asia/Seoul"])
def test_every_night_of_a_year_begins_once_and_in_order(at: str, zone: str) -> None:
    """Santiago puts its clock forward at midnight: there is no 00:00 on that date."""
    nightly = _nightly(first="2026-01-01", at=dt.time.fromisoformat(at))
    where = ZoneInfo(zone)
    now = dt.datetime(2025, 12, 31, tzinfo=dt.UTC)
    begun: list[dt.date] = []
    done: dict[dt.date, Night] = {}
    while now < dt.datetime(2027, 1, 3, tzinfo=dt.UTC):
        due = [night.date for night in due_nights(nightly, done, now, where)]
        done |= {date: _night(str(date), "done") for date in due}
        begun += due
        now += dt.timedelta(hours=1)
    assert begun[:365] == [dt.date(2026, 1, 1) + dt.timedelta(days=n) for n in range(365)]
    assert len(begun) == len(set(begun))


@pytest.mark.parametrize(
    ("now", "latest", "upcoming"),
    [
        ("2026-11-05 01:59", "2026-11-04", "2026-11-05"),
        ("2026-11-05 02:00", "2026-11-05", "2026-11-06"),
        ("2026-10-01 12:00", "2026-10-01", "2026-11-01"),  # not before its first
    ],
)
def test_the_last_and_the_next_night(now: str, latest: str, upcoming: str) -> None:
    assert str(latest_due(_seoul(now), TWO, SEOUL)) == latest
    assert str(next_night(_nightly(), _seoul(now), SEOUL)) == upcoming


def test_open_nights_are_those_that_began_and_are_not_done() -> None:
    recorded = [
        _night("2026-10-31", "failed"),  # before its first: nobody's concern
        _night("2026-11-01", "done"),
        _night("2026-11-02", "missing"),
        _night("2026-11-03", "failed"),
        _night("2026-11-04", "skipped"),
        _night("2026-11-05", "running"),
        _night("2026-11-06", "running", held=True),
        _night("2026-11-07", "waiting"),
    ]
    found = open_nights(
        _nightly(), {night.date: night for night in recorded}, _seoul("2026-11-08 02:00"), SEOUL
    )
    assert [(night.date.day, night.state) for night in found] == [
        (2, "missing"),
        (3, "failed"),
        (5, "interrupted"),
        (7, "waiting"),
        (8, "not run"),
    ]
