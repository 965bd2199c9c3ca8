"""A night that a person asks for: run it if it can be, and say what became of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from zoneinfo import ZoneInfo

from cli.output import say
from cli.services import Services, open_services
from core.errors import InputError
from core.logs import configure_logs
from core.settings import load_settings
from db import nights
from db.engine import transaction
from db.nights import Night, Nightly
from producer.ingest import LoadedCrawl, Progress
from producer.night_run import run_night

OLDEST = dt.timedelta(days=3_660)  # an earlier night is a slip of the finger: each gets its row


@dataclass(frozen=True)
class Schedule:
    """A nightly, its nights so far, and the database's time."""

    nightly: Nightly
    recorded: dict[dt.date, Night]
    now: dt.datetime


@dataclass(frozen=True)
class AskedNight:
    """What became of it: as a `NightOutcome`, or `already` done or run `elsewhere`."""

    nightly: str
    date: dt.date
    state: str
    crawl: int | None = None
    loaded: LoadedCrawl | None = None
    reason: str | None = None
    error: Exception | None = None

    def words(self) -> str:
        """One line about it."""
        return f"{self.date} of {self.nightly}: {self._what()}"

    def _what(self) -> str:
        if self.loaded is not None:
            counts = self.loaded.counts
            return (
                f"crawl {self.crawl}, {counts.read:,} rows read, {counts.accepted:,} accepted, "
                f"{counts.duplicate:,} duplicate, {counts.rejected:,} rejected"
            )
        if self.state == "already":
            return f"done already, crawl {self.crawl}"
        if self.state == "elsewhere":
            return "being run by another process"
        return f"{self.state}, {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints of it."""
        counts = {} if self.loaded is None else asdict(self.loaded.counts)
        return {
            "nightly": self.nightly,
            "date": self.date,
            "state": "done" if self.state == "already" else self.state,
            "crawl": self.crawl,
            **counts,
            "reason": self.reason,
        }


@contextmanager
def open_nightly_services(*, broker: bool = True) -> Iterator[Services]:
    """What every nightly command works with."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with open_services(settings, broker=broker) as services:
        yield services


def read_schedules(services: Services, name: str | None) -> list[Schedule]:
    """Read all nightlies, or the one of that name.

    Raises:
        InputError: there is none of that name.
    """
    with transaction(services.engine) as connection:
        now = nights.read_clock(connection)
        return [
            Schedule(nightly, nights.list_nights(connection, nightly.id), now)
            for nightly in nights.list_nightlies(connection, name)
        ]


def parse_date(option: str, words: str, last: dt.date) -> dt.date:
    """A date given on the command line, no later than `last` and not out of all reason.

    Raises:
        InputError: it is no date, after `last`, or more than ten years before.
    """
    try:
        date = dt.date.fromisoformat(words)
    except ValueError:
        raise InputError(f"{option} must be a date such as {last}, not {words[:40]!r}") from None
    if date > last:
        raise InputError(f"{option} {date} is still to come")
    if last - date > OLDEST:
        raise InputError(f"{option} {date} is more than {OLDEST.days:,} days ago")
    return date


def run_asked(
    services: Services,
    schedule: Schedule,
    date: dt.date,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> AskedNight:
    """Run one night unless it is done, or being run."""
    nightly = schedule.nightly
    seen = schedule.recorded.get(date)
    if seen is None or seen.crawl_id is None:
        outcome = run_night(
            services.engine,
            nightly,
            date,
            0 if seen is None else seen.attempt,
            zone=ZoneInfo(services.settings.timezone),
            max_text_bytes=services.settings.max_text_bytes,
            on_progress=on_progress,
            on_note=say,
        )
        if outcome is not None:
            crawl = None if outcome.loaded is None else outcome.loaded.crawl
            return AskedNight(nightly.name, date, crawl=crawl, **outcome.__dict__)
        with transaction(services.engine) as connection:
            seen = nights.list_nights(connection, nightly.id).get(date)
    if seen is None or seen.crawl_id is None:
        return AskedNight(nightly.name, date, "elsewhere")
    return AskedNight(nightly.name, date, "already", seen.crawl_id)
