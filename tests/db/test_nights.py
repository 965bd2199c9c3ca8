"""The life of a night, statement by statement, on a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from core.errors import InputError, NifosError
from db import nights
from db.engine import Connection, Engine, session, transaction
from db.nights import Claim, Nightly
from tests.acceptance.command import wait_until
from tests.crawls import load_posts
from tests.nights import add_nightly, read_night

DATE = dt.date(2026, 11, 1)


@pytest.fixture
def nightly(engine: Engine, tmp_path: Path) -> Nightly:
    return add_nightly(engine, tmp_path)


@pytest.fixture
def one(engine: Engine) -> Iterator[Connection]:
    with session(engine) as connection:
        yield connection


@pytest.fixture
def two(engine: Engine) -> Iterator[Connection]:
    with session(engine) as connection:
        yield connection


def _claim(connection: Connection, nightly: Nightly, seen: int = 0) -> Claim | None:
    claimed = nights.claim(connection, nightly.id, DATE, seen)
    connection.commit()
    return claimed


def _end(engine: Engine, claimed: Claim, state: str, retry_s: float | None = None) -> bool:
    with transaction(engine) as connection:
        return nights.end(connection, claimed, state, "why", retry_s)


def test_a_night_is_claimed_once(
    engine: Engine, nightly: Nightly, one: Connection, two: Connection
) -> None:
    assert _claim(one, nightly) == Claim(1, 1)
    assert read_night(engine, nightly, DATE).held
    for seen in (0, 1):
        assert _claim(two, nightly, seen) is None


def test_a_night_that_was_tried_since_it_was_seen_is_not_tried_again(
    engine: Engine, nightly: Nightly, one: Connection, two: Connection
) -> None:
    claimed = _claim(one, nightly)
    assert claimed is not None
    assert _end(engine, claimed, "failed")
    nights.let_go(one, claimed)
    one.commit()
    assert _claim(two, nightly, seen=0) is None  # judged due before it failed
    assert _claim(two, nightly, seen=1) == Claim(claimed.night_id, 2)  # asked for by a person
    night = read_night(engine, nightly, DATE)
    assert (night.state, night.reason, night.next_try_at) == ("running", None, None)


def test_a_refused_claim_leaves_no_lock(
    engine: Engine, nightly: Nightly, one: Connection, two: Connection
) -> None:
    claimed = _claim(one, nightly)
    assert claimed is not None
    nights.let_go(one, claimed)
    one.commit()
    assert _claim(one, nightly, seen=0) is None
    assert _claim(two, nightly, seen=1) is not None


def test_the_night_of_a_connection_that_ended_is_free_at_once(
    engine: Engine, nightly: Nightly, one: Connection, two: Connection
) -> None:
    first = _claim(one, nightly)
    assert first is not None
    one.invalidate()  # as when its process dies
    wait_until("the server notices", lambda: not read_night(engine, nightly, DATE).held)
    second = _claim(two, nightly, seen=1)
    assert second == Claim(first.night_id, 2)
    with transaction(engine) as connection:
        assert not nights.finish(connection, first, 1)
        assert not nights.end(connection, first, "failed", "late", None)
    assert read_night(engine, nightly, DATE).state == "running"


def test_a_done_night_is_done_for_good_unless_its_crawl_is_forgotten(
    engine: Engine, nightly: Nightly, one: Connection, active_version: int, tmp_path: Path
) -> None:
    crawl = load_posts(engine, tmp_path, 3).crawl
    claimed = _claim(one, nightly)
    assert claimed is not None
    assert nights.finish(one, claimed, crawl)
    nights.let_go(one, claimed)
    one.commit()
    assert not _end(engine, claimed, "failed")
    assert _claim(one, nightly, seen=1) is None
    assert read_night(engine, nightly, DATE).crawl_id == crawl
    with transaction(engine) as connection:
        connection.execute(text("delete from crawl"))
    night = read_night(engine, nightly, DATE)
    assert (night.state, night.crawl_id) == ("done", None)
    assert _claim(one, nightly, seen=1) is not None


def test_when_a_night_is_tried_again(engine: Engine, nightly: Nightly, one: Connection) -> None:
    claimed = _claim(one, nightly)
    assert claimed is not None
    assert _end(engine, claimed, "waiting", 60)
    with transaction(engine) as connection:
        wait = connection.scalar(text("select next_try_at - finished_at from night"))
    assert wait == dt.timedelta(seconds=60)


def test_a_night_is_skipped_only_where_there_is_no_row(
    engine: Engine, nightly: Nightly, one: Connection
) -> None:
    with transaction(engine) as connection:
        assert nights.record(connection, nightly.id, DATE, "skipped", "missed")
        assert not nights.record(connection, nightly.id, DATE, "skipped", "missed")
    assert read_night(engine, nightly, DATE).state == "skipped"
    assert _claim(one, nightly) is not None  # a person may still run it


def test_a_nightly_removed_meanwhile(engine: Engine, nightly: Nightly, one: Connection) -> None:
    claimed = _claim(one, nightly)
    assert claimed is not None
    with transaction(engine) as connection:
        nights.remove_nightly(connection, nightly.id)
        assert not nights.finish(connection, claimed, 1)
        assert nights.list_nightlies(connection) == []
    nights.let_go(one, claimed)
    one.commit()
    assert _claim(one, nightly) is None


def test_names_are_unique_and_known(engine: Engine, nightly: Nightly, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nightly remove blog"):
        add_nightly(engine, tmp_path)
    with transaction(engine) as connection, pytest.raises(InputError, match="no nightly news"):
        nights.list_nightlies(connection, "news")


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("update night set state = 'lost'", "night_state_known"),
        ("update nightly set missed = 'never'", "nightly_missed_known"),
        (
            "insert into night (nightly_id, date, state)"
            " select nightly_id, date, 'done' from night",
            "night_once",
        ),
        ("update night set crawl_id = 1", "night_crawl_when_done"),
    ],
)
def test_what_the_tables_refuse(
    engine: Engine, nightly: Nightly, statement: str, constraint: str
) -> None:
    with transaction(engine) as connection:
        nights.record(connection, nightly.id, DATE, "skipped", "missed")
    with pytest.raises(NifosError, match=constraint), transaction(engine) as connection:
        connection.execute(text(statement))


def test_the_view_and_who_may_read_it(
    engine: Engine, nightly: Nightly, active_version: int
) -> None:
    with transaction(engine) as connection:
        nights.record(connection, nightly.id, DATE, "skipped", "missed")
    with transaction(engine) as connection:
        connection.execute(text("set local role nifos_reader"))
        row = connection.execute(text("select * from nightly_status")).one()
        assert (row.nightly, row.source, row.date, row.state) == ("blog", "blog", DATE, "skipped")
        assert connection.scalar(text("select count(*) from night")) == 1
