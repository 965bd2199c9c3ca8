"""Nightlies made for tests."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path

from db import nights
from db.engine import Engine, transaction
from db.nights import NewNightly, Night, Nightly
from tests.crawls import posts, write_jsonl

ONE_DAY = dt.timedelta(days=1)


def utc_today() -> dt.date:
    """The tests' nightlies run at midnight in UTC, so that tonight's is always due."""
    return dt.datetime.now(dt.UTC).date()


def add_nightly(
    engine: Engine,
    folder: Path,
    name: str = "blog",
    *,
    missed: str = "catch-up",
    first: dt.date | None = None,
    at: dt.datetime | None = None,
) -> Nightly:
    """One that takes `folder/DATE/*.jsonl` in as the source of its name.

    Its first night is that of `first`, or the one that begins at `at`, or today's at midnight.
    """
    first = first or (at.date() if at else utc_today())
    hour = at.time() if at else dt.time(0)
    new = NewNightly(name, name, f"{folder}/{{date}}/*.jsonl", hour, missed, {}, first)
    with transaction(engine) as connection:
        nights.add_nightly(connection, new)
        (nightly,) = nights.list_nightlies(connection, name)
    return nightly


def write_night(folder: Path, date: dt.date, count: int, *, start: int = 0) -> Path:
    """The crawl of one night."""
    (folder / str(date)).mkdir(parents=True, exist_ok=True)
    path = write_jsonl(folder / str(date) / "posts.jsonl", posts(count, start=start))
    return settle(path)


def settle(path: Path) -> Path:
    """Let a file look as if it was written an hour ago: a fresh one may not be whole."""
    os.utime(path, (time.time() - 3_600,) * 2)
    return path


def read_night(engine: Engine, nightly: Nightly, date: dt.date) -> Night:
    with transaction(engine) as connection:
        return nights.list_nights(connection, nightly.id)[date]
