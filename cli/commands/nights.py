"""`nifos nightly run`, `missing`, `backfill`: single nights, asked for or asked about."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from cli.commands.options import AsJson
from cli.load import feed_once, progress_words
from cli.night_requests import (
    AskedNight,
    Schedule,
    open_nightly_services,
    parse_date,
    read_schedules,
    run_asked,
)
from cli.output import make_table, print_json, progress_bar, say, stdout
from core.errors import FileNotReadyError, InputError, NifosError
from producer.ingest import Progress
from producer.nights import latest_due, open_nights

Name = Annotated[str, typer.Argument(help="The nightly's name.")]
OptionalName = Annotated[
    str | None, typer.Argument(help="Only this nightly's; all of them if not given.")
]


def run(
    name: Name,
    date: Annotated[
        str | None, typer.Option(help="The night, such as 2026-11-01; the last one due if not.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Run one night now, unless it is done. For cron, and for a night that failed."""
    with open_nightly_services() as services, progress_bar(quiet=json) as bar:
        zone = ZoneInfo(services.settings.timezone)
        (schedule,) = read_schedules(services, name)
        night = latest_due(schedule.now, schedule.nightly.at, zone)
        if date is not None:
            night = parse_date("--date", date, last=_today(schedule, zone))

        started = time.monotonic()

        def show(progress: Progress) -> None:
            words = progress_words(progress, time.monotonic() - started)
            bar.show("loading", progress.bytes_read, progress.bytes_total, words)

        asked = run_asked(services, schedule, night, show)
        if asked.loaded is not None:
            feed_once(services)
    if asked.error is not None:
        raise asked.error
    if json:
        print_json(asked.to_json())
    if asked.state == "missing":
        raise NifosError(asked.words())
    if not json:
        stdout().print(asked.words())


def missing(
    name: OptionalName = None,
    first: Annotated[
        str | None, typer.Option("--from", help="Only nights from this one on.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show every night that has begun and is not done; exit code 1 if there is one."""
    found = []
    with open_nightly_services(broker=False) as services:
        zone = ZoneInfo(services.settings.timezone)
        for schedule in read_schedules(services, name):
            nightly = schedule.nightly
            since = nightly.first_date
            if first is not None:
                since = parse_date("--from", first, last=_today(schedule, zone))
            found += [
                {"nightly": nightly.name, **night.__dict__}
                for night in open_nights(nightly, schedule.recorded, schedule.now, zone)
                if night.date >= since
            ]
    if json:
        print_json({"nights": found})
    elif found:
        columns = ("nightly", "date", "state", "reason")
        stdout().print(make_table(columns, [[row[c] for c in columns] for row in found]))
    else:
        stdout().print("no night is missing")
    if found:
        raise typer.Exit(1)


def backfill(
    name: Name,
    first: Annotated[str, typer.Option("--from", help="The first night, such as 2026-10-01.")],
    last: Annotated[str, typer.Option("--to", help="The last night.")],
    json: AsJson = False,
) -> None:
    """Run every night of a range that is not done, in order; exit code 1 if any is not then."""
    counts: Counter[str] = Counter()
    with open_nightly_services() as services:
        (schedule,) = read_schedules(services, name)
        today = _today(schedule, ZoneInfo(services.settings.timezone))
        start, stop = parse_date("--from", first, today), parse_date("--to", last, today)
        if start > stop:
            raise InputError(f"--from {start} is after --to {stop}")
        try:
            for day in range((stop - start).days + 1):
                asked = run_asked(services, schedule, start + dt.timedelta(days=day))
                counts[_counted(asked)] += 1
                say(asked.words())
        finally:
            if counts["done"]:
                feed_once(services)
    states = ["done", "already", "elsewhere", "missing", "failed"]
    if counts["waiting"]:  # a file is still being written
        states.append("waiting")
    told = {state: counts[state] for state in states}
    if json:
        print_json({"nightly": name, "from": start, "to": stop, **told})
    else:
        words = ", ".join(f"{n:,} {state}" for state, n in told.items())
        stdout().print(f"{name} from {start} to {stop}: {words}")
    if counts["missing"] or counts["failed"] or counts["waiting"]:
        raise typer.Exit(1)


def _counted(asked: AskedNight) -> str:
    """The word under which a backfill counts a night; one that waits for a service ends it."""
    its_file = isinstance(asked.error, FileNotReadyError)
    if asked.state in ("waiting", "lost") and asked.error is not None and not its_file:
        raise asked.error
    return asked.state


def _today(schedule: Schedule, zone: ZoneInfo) -> dt.date:
    return schedule.now.astimezone(zone).date()
