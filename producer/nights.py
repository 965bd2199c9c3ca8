"""Which nights are due: a calendar of nights, from a schedule and what is recorded so far. Pure.

The night of a date runs at its time of day in a zone. Comparisons are of instants: a clock that is
put back or forward makes no night run twice or never.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from db.nights import Night, Nightly

LATE = dt.timedelta(hours=1)
"""A night that nobody has begun by then was missed: its nightly's rule says what is done."""

ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class DueNight:
    """A night to be run, or to be recorded as skipped. `attempt` is the one seen; 0: no row."""

    date: dt.date
    attempt: int
    skip: bool = False


@dataclass(frozen=True)
class OpenNight:
    """A night that is due and not done: not run, waiting, interrupted, missing or failed."""

    date: dt.date
    state: str
    reason: str | None


def instant_of(date: dt.date, at: dt.time, zone: dt.tzinfo) -> dt.datetime:
    """When the night of a date begins, in UTC.

    A time that the clock skips on that date stands for the one an hour later; of a time that it
    shows twice, the first counts.
    """
    return dt.datetime.combine(date, at, tzinfo=zone).astimezone(dt.UTC)


def latest_due(now: dt.datetime, at: dt.time, zone: dt.tzinfo) -> dt.date:
    """The date of the last night that has begun."""
    date = now.astimezone(zone).date()
    while instant_of(date, at, zone) > now:
        date -= ONE_DAY
    return date


def next_night(nightly: Nightly, now: dt.datetime, zone: dt.tzinfo) -> dt.date:
    """The date of the next night to begin."""
    return max(nightly.first_date, latest_due(now, nightly.at, zone) + ONE_DAY)


def due_nights(
    nightly: Nightly, nights: Mapping[dt.date, Night], now: dt.datetime, zone: dt.tzinfo
) -> list[DueNight]:
    """What a scheduler has to do now, oldest first.

    Never recorded nights, late ones by the nightly's rule; broken-off ones; those whose next try
    has come. Of missing ones only the latest: its crawl may still arrive, until the next night.

    Args:
        nightly: the schedule.
        nights: what is recorded, by date.
        now: by the database's clock.
        zone: of the nightly's time of day.
    """
    latest = latest_due(now, nightly.at, zone)
    due = []
    for date in _dates(nightly.first_date, latest):
        night = nights.get(date)
        if night is None:
            late = now - instant_of(date, nightly.at, zone) > LATE
            due.append(DueNight(date, 0, skip=late and nightly.missed == "skip"))
        elif _is_to_be_tried(night, now, date == latest):
            due.append(DueNight(date, night.attempt))
    return due


def open_nights(
    nightly: Nightly, nights: Mapping[dt.date, Night], now: dt.datetime, zone: dt.tzinfo
) -> list[OpenNight]:
    """Every night since the first that has begun and is neither done, skipped nor being run."""
    found = []
    for date in _dates(nightly.first_date, latest_due(now, nightly.at, zone)):
        night = nights.get(date)
        state = shown_state(night)
        if state not in ("done", "skipped", "running"):
            found.append(OpenNight(date, state, None if night is None else night.reason))
    return found


def shown_state(night: Night | None) -> str:
    """The state as a person reads it: a night that nobody runs any more is not `running`."""
    if night is None:
        return "not run"
    broken_off = night.state == "running" and not night.held
    return "interrupted" if broken_off else night.state


def _is_to_be_tried(night: Night, now: dt.datetime, is_latest: bool) -> bool:
    if shown_state(night) == "interrupted":
        return True
    if night.state == "waiting" or (night.state == "missing" and is_latest):
        return night.next_try_at is None or night.next_try_at <= now
    return False


def _dates(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    for day in range((last - first).days + 1):
        yield first + dt.timedelta(days=day)
