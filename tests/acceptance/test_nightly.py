"""The nightly run as a person and as cron use it, and as it runs by itself."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest

from cli.embedded import EmbeddedServers
from tests.acceptance.command import Nifos, wait_until
from tests.nights import ONE_DAY, settle, write_night

DOCUMENTS = 200_000  # seconds of loading, so that a test can interfere in the middle of it


@pytest.fixture
def today() -> dt.date:
    """In the zone of the nights."""
    return dt.datetime.now(ZoneInfo("Asia/Seoul")).date()


@pytest.fixture
def database(nifos: Nifos) -> Iterator[psycopg.Connection]:
    """A connection of our own to the home's PostgreSQL, which stays up for the whole test."""
    assert nifos("migrate").returncode == 0
    with (
        EmbeddedServers(nifos.home) as servers,
        psycopg.connect(servers.database_url, autocommit=True) as connection,
    ):
        yield connection


def _add(nifos: Nifos, folder: Path, first: dt.date, name: str = "blog") -> None:
    pattern = f"{folder}/{{date}}/*.jsonl"
    added = nifos(
        *("nightly", "add", name, "--path", pattern, "--source", name),
        *("--at", "00:00", "--from", first),
    )
    assert added.returncode == 0, added.stderr
    assert added.stdout == f"{name}: the first night is {first} at 00:00, Asia/Seoul\n"


def _states(database: psycopg.Connection) -> list[str]:
    rows = database.execute("select state from night order by date").fetchall()
    return [row[0] for row in rows]


def test_a_night_from_cron(
    nifos: Nifos, database: psycopg.Connection, tmp_path: Path, today: dt.date
) -> None:
    _add(nifos, tmp_path, today)
    assert nifos("nightly", "missing").returncode == 1
    night = ("nightly", "run", "blog")
    missing = nifos(*night)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == (
        f"nifos: {today} of blog: missing, nothing matches {tmp_path}/{today}/*.jsonl\n"
    )
    state = nifos("nightly", "missing", "--json")
    assert state.returncode == 1
    (listed,) = json.loads(state.stdout)["nights"]
    assert (listed["nightly"], listed["date"], listed["state"]) == ("blog", str(today), "missing")
    write_night(tmp_path, today, 5)
    assert "5 accepted" in nifos(*night).stdout
    assert nifos(*night).stdout == f"{today} of blog: done already, crawl 1\n"
    assert nifos.json(*night, "--json")["state"] == "done"
    assert nifos("nightly", "missing", "blog").returncode == 0
    assert nifos.json("status", "--json")["queue"] == 1
    (row,) = nifos.json("nightly", "list", "--json")["nightlies"]
    assert (row["last"], row["state"], row["crawl"]) == (str(today), "done", 1)
    assert row["next"] == f"{today + ONE_DAY} 00:00"
    shown = nifos("nightly", "list").stdout
    assert all(words in shown for words in ("blog", "catch-up", "done", str(today)))
    assert nifos("nightly", "remove", "blog").returncode == 0
    assert nifos.json("nightly", "list", "--json") == {"nightlies": []}
    assert database.execute("select count(*) from document").fetchone() == (5,)


def test_a_backfill_goes_on_after_what_is_missing_or_damaged(
    nifos: Nifos, database: psycopg.Connection, tmp_path: Path, today: dt.date
) -> None:
    """It may begin before the first night that the nightly answers for."""
    first = today - 4 * ONE_DAY
    for n in (0, 1, 3, 4):
        write_night(tmp_path, first + n * ONE_DAY, 5, start=5 * n)
    damaged = tmp_path / str(first + ONE_DAY) / "posts.jsonl"
    good = damaged.read_bytes()
    damaged.write_text('{"no": 1}\n')
    _add(nifos, tmp_path, today)
    backfill = ("nightly", "backfill", "blog", "--from", first, "--to", today)
    done = nifos(*backfill)
    assert done.returncode == 1
    assert done.stdout == (
        f"blog from {first} to {today}: 3 done, 0 already, 0 elsewhere, 1 missing, 1 failed\n"
    )
    assert [line[:10] for line in done.stderr.splitlines()] == [
        str(first + n * ONE_DAY) for n in range(5)
    ]
    assert _states(database) == ["done", "failed", "missing", "done", "done"]
    # Nights before its first are nobody's concern, once they are asked for and looked at.
    assert nifos("nightly", "missing").returncode == 0
    damaged.write_bytes(good)
    write_night(tmp_path, first + 2 * ONE_DAY, 5, start=10)
    again = nifos.json(*backfill, "--json")
    assert (again["done"], again["already"], again["missing"], again["failed"]) == (2, 3, 0, 0)
    assert database.execute("select count(*) from document").fetchone() == (25,)


def test_a_failed_night_and_one_that_has_to_wait_say_why_and_can_be_run_again(
    nifos: Nifos, database: psycopg.Connection, tmp_path: Path, today: dt.date
) -> None:
    path = write_night(tmp_path, today, 0)
    path.write_text('{"no": 1}\n')
    _add(nifos, tmp_path, today)
    failed = nifos("nightly", "run", "blog")
    assert failed.returncode == 2
    assert "no text column" in failed.stderr
    assert failed.stderr.count("\n") == 1
    write_night(tmp_path, today, 5)
    database.execute("insert into source (name) values ('blog') on conflict do nothing")
    lock = "select pg_{}advisory_{}lock(7002, (select id::int from source where name = 'blog'))"
    database.execute(lock.format("", ""))
    waits = nifos("nightly", "run", "blog", "--date", today)
    assert waits.returncode == 3
    assert "another load is running" in waits.stderr
    assert waits.stderr.count("\n") == 1
    assert _states(database) == ["waiting"]
    database.execute(lock.format("", "un"))
    assert nifos("nightly", "run", "blog").returncode == 0


GOOD = ("--path", "/c/{date}", "--source", "s", "--at", "02:00")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "a b", *GOOD), "NAME must be"),
        (("add", "-x", *GOOD), "--help"),
        (("add", "a", *GOOD[2:]), "--path"),
        (("add", "a", *GOOD, "--path", "/c/{day}"), "{day} is not known"),
        (("add", "a", *GOOD, "--path", "/c/{date.year}"), "{date.year} is not known"),
        (("add", "a", *GOOD, "--path", "/c/{date:x}"), "does not show a date"),
        (("add", "a", *GOOD, "--path", "/c/{date"), "--path: "),
        (("add", "a", *GOOD, "--source", " "), "--source must not be empty"),
        (("add", "a", *GOOD, "--at", "2:00"), "--at must be HH:MM"),
        (("add", "a", *GOOD, "--at", "24:00"), "--at must be HH:MM"),
        (("add", "a", *GOOD, "--missed", "never"), "--missed"),
        (("add", "a", *GOOD, "--encoding", "klingon"), "no such encoding"),
        (("add", "a", *GOOD, "--max-reject-ratio", "2"), "--max-reject-ratio"),
        (("add", "a", *GOOD, "--from", "yesterday"), "--from must be a date"),
        (("add", "a", *GOOD, "--from", "0001-01-01"), "days ago"),
        (("add", "known", *GOOD), "nightly remove known"),
        (("run", "nobody"), "no nightly nobody"),
        (("run", "known", "--date", "31.12.2026"), "--date must be a date"),
        (("run", "known", "--date", "9999-01-01"), "still to come"),
        (("missing", "nobody"), "no nightly nobody"),
        (("remove", "nobody"), "no nightly nobody"),
        (("backfill", "nobody", "--from", "2026-01-01", "--to", "2026-01-02"), "no nightly nobody"),
        (("backfill", "known", "--from", "2026-01-02", "--to", "2026-01-01"), "is after --to"),
        (("backfill", "known", "--from", "2026-01-02"), "--to"),
    ],
)
def test_wrong_input_is_one_line(known: Nifos, arguments: tuple[str, ...], words: str) -> None:
    done = known("nightly", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nifos]:
    """A home with one nightly, its servers up."""
    command = Nifos(tmp_path_factory.mktemp("known") / "home")
    with EmbeddedServers(command.home):
        assert command("nightly", "add", "known", *GOOD).returncode == 0
        yield command
    command.end()


@pytest.mark.slow
def test_up_runs_the_nights_and_labels_them(
    nifos: Nifos, database: psycopg.Connection, tmp_path: Path, today: dt.date
) -> None:
    """One nightly is damaged: it neither ends `up` nor keeps the other from its night."""
    write_night(tmp_path / "good", today, 5)
    damaged = write_night(tmp_path / "bad", today, 0)
    damaged.write_text('{"no": 1}\n')
    settle(damaged)
    _add(nifos, tmp_path / "bad", today, "bad")
    _add(nifos, tmp_path / "good", today, "good")
    up = nifos.start("up", NIFOS_WORKER_PROCESSES="1")
    labelled = "select count(*) from label"
    wait_until(
        "it is labelled",
        lambda: up.poll() is None and database.execute(labelled).fetchone() == (5,),
    )
    assert [
        row[0] for row in database.execute("select state from nightly_status order by nightly")
    ] == ["failed", "done"]
    os.kill(up.pid, signal.SIGINT)
    _out, err = up.communicate(timeout=60)
    assert up.returncode == 0, err
    assert "Traceback" not in err


def _scheduler_in_a_load(nifos: Nifos, database: psycopg.Connection) -> subprocess.Popen[str]:
    scheduler = nifos.start("scheduler")
    loading = "select exists (select from document)"
    wait_until(
        "it loads",
        lambda: scheduler.poll() is None and database.execute(loading).fetchone() == (True,),
    )
    assert _states(database) == ["running"]
    return scheduler


@pytest.mark.slow
def test_a_scheduler_killed_in_a_load_is_followed_by_another(
    nifos: Nifos, database: psycopg.Connection, tmp_path: Path, today: dt.date
) -> None:
    write_night(tmp_path, today, DOCUMENTS)
    _add(nifos, tmp_path, today)
    first = _scheduler_in_a_load(nifos, database)
    first.kill()
    first.wait()
    assert _states(database) == ["running"]
    (night,) = json.loads(nifos("nightly", "missing", "--json").stdout)["nights"]
    assert night["state"] == "interrupted"
    second, third = nifos.start("scheduler"), nifos.start("scheduler")
    wait_until("the night is done", lambda: _states(database) == ["done"])
    for scheduler in (second, third):
        os.kill(scheduler.pid, signal.SIGTERM)
        _out, err = scheduler.communicate(timeout=60)
        assert scheduler.returncode == 0, err
    query = "select count(*), (select count(*) from crawl), (select max(attempt) from night)"
    assert database.execute(f"{query} from document").fetchone() == (DOCUMENTS, 1, 2)


@pytest.mark.slow
def test_a_scheduler_told_to_stop_in_a_load_leaves_nothing_half_done(
    nifos: Nifos, database: psycopg.Connection, tmp_path: Path, today: dt.date
) -> None:
    write_night(tmp_path, today, DOCUMENTS)
    _add(nifos, tmp_path, today)
    scheduler = _scheduler_in_a_load(nifos, database)
    os.kill(scheduler.pid, signal.SIGTERM)
    _out, err = scheduler.communicate(timeout=30)
    assert scheduler.returncode == 0, err
    assert "Traceback" not in err
    assert _states(database) == ["waiting"]
    assert database.execute("select count(*) from crawl").fetchone() == (0,)
    assert nifos("nightly", "run", "blog").returncode == 0
    assert database.execute("select count(*) from document").fetchone() == (DOCUMENTS,)
