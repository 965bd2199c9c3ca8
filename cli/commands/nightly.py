"""`nifos nightly`: what is taken in each night by itself, and what became of the nights."""

from __future__ import annotations

import datetime as dt
import re
from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from cli.commands import nights as night_commands
from cli.commands.nights import Name
from cli.commands.options import (
    AsJson,
    Encoding,
    IdColumn,
    Keep,
    MaxRejectRatio,
    Source,
    TextColumn,
    TimeColumn,
)
from cli.commands.reading import read_options
from cli.night_requests import Schedule, open_nightly_services, parse_date, read_schedules
from cli.output import make_table, print_json, stdout
from core.errors import InputError
from db import nights
from db.engine import transaction
from db.nights import NewNightly
from producer.encodings import check_encoding
from producer.ingest import MAX_REJECT_RATIO
from producer.night_paths import check_pattern
from producer.night_run import NightOptions
from producer.nights import ONE_DAY, latest_due, next_night, shown_state

MOST_NAME_CHARACTERS = 100

app = typer.Typer(help="Crawls taken in each night by themselves.", no_args_is_help=True)


class Missed(StrEnum):
    """What is done about a night that nobody ran in its hour."""

    CATCH_UP = "catch-up"
    SKIP = "skip"


PathPattern = Annotated[
    str,
    typer.Option(
        help="Pattern of its files, such as '/crawls/{date}/*.csv.gz'; {date} is the night as "
        "2026-11-01, {date:%Y%m%d} is 20261101."
    ),
]
At = Annotated[str, typer.Option(help="Time of day, HH:MM, in NIFOS_TIMEZONE.")]
MissedRule = Annotated[
    Missed, typer.Option(help="A night that nobody began in its hour is run later, or skipped.")
]
First = Annotated[
    str | None, typer.Option("--from", help="The first night; the next one if not given.")
]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A name for it: letters, digits, - and _.")],
    path: PathPattern,
    source: Source,
    at: At,
    missed: MissedRule = Missed.CATCH_UP,
    first: First = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    keep: Keep = None,
    encoding: Encoding = None,
    max_reject_ratio: MaxRejectRatio = MAX_REJECT_RATIO,
) -> None:
    """Take files in each night by themselves, from the next night on."""
    read = read_options(
        text_column=text_column,
        id_column=id_column,
        time_column=time_column,
        keep=keep,
        encoding=None if encoding is None else check_encoding(encoding),
    )
    where, hour = check_pattern(path), _time(at)
    _check_words(name, source)
    with open_nightly_services(broker=False) as services:
        zone = ZoneInfo(services.settings.timezone)
        with transaction(services.engine) as connection:
            begins = latest_due(nights.read_clock(connection), hour, zone) + ONE_DAY
            if first is not None:
                begins = parse_date("--from", first, last=begins)
            options = NightOptions(read, max_reject_ratio).to_row()
            nights.add_nightly(
                connection,
                NewNightly(name, source.strip(), where, hour, missed.value, options, begins),
            )
    stdout().print(f"{name}: the first night is {begins} at {hour:%H:%M}, {zone.key}")


@app.command("list")
def list_nightlies(json: AsJson = False) -> None:
    """Show every nightly, its next night and its last."""
    with open_nightly_services(broker=False) as services:
        zone = ZoneInfo(services.settings.timezone)
        rows = [_summary(schedule, zone) for schedule in read_schedules(services, None)]
    if json:
        print_json({"nightlies": rows})
        return
    columns = ("name", "source", "at", "missed", "next", "last", "state", "path")
    table = make_table(columns, [[row[column] for column in columns] for row in rows])
    stdout().print(table)


app.command()(night_commands.run)
app.command()(night_commands.missing)
app.command()(night_commands.backfill)


@app.command()
def remove(name: Name) -> None:
    """Forget a nightly and its nights. Crawls that it took in stay."""
    with (
        open_nightly_services(broker=False) as services,
        transaction(services.engine) as connection,
    ):
        (nightly,) = nights.list_nightlies(connection, name)
        nights.remove_nightly(connection, nightly.id)
    stdout().print(f"{name} is removed; its crawls stay")


def _summary(schedule: Schedule, zone: ZoneInfo) -> dict[str, Any]:
    nightly = schedule.nightly
    last = next(iter(schedule.recorded.values()), None)
    begins = dt.datetime.combine(next_night(nightly, schedule.now, zone), nightly.at)
    return {
        "name": nightly.name,
        "source": nightly.source,
        "at": f"{nightly.at:%H:%M}",
        "missed": nightly.missed,
        "path": nightly.path,
        "options": nightly.options,
        "first": nightly.first_date,
        "next": f"{begins:%Y-%m-%d %H:%M}",
        "last": None if last is None else last.date,
        "state": None if last is None else shown_state(last),
        "crawl": None if last is None else last.crawl_id,
        "reason": None if last is None else last.reason,
    }


def _time(words: str) -> dt.time:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", words, re.ASCII):
        raise InputError(f"--at must be HH:MM, such as 02:00, not {words[:40]!r}")
    return dt.time.fromisoformat(words)


def _check_words(name: str, source: str) -> None:
    if not re.fullmatch(r"\w[\w-]*", name) or len(name) > MOST_NAME_CHARACTERS:
        raise InputError(f"NAME must be letters, digits, - and _, not {name[:40]!r}")
    if not source.strip() or not source.isprintable():
        raise InputError("--source must not be empty")
