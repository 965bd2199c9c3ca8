"""Nights run on a real PostgreSQL: what becomes of them, raced, killed, interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from core.errors import InputError, ServiceError
from db import crawls, locks, nights
from db.engine import Engine, session, transaction
from db.nights import Nightly
from producer import night_run
from producer.columns import ColumnOptions
from producer.crawl import ReadOptions
from producer.ingest import Progress
from producer.inputs import Input
from producer.night_run import NightLost, NightOptions, NightOutcome, run_night
from tests.crawls import SEOUL, posts, write_jsonl
from tests.nights import add_nightly, read_night, utc_today, write_night

DATE = utc_today()


@pytest.fixture
def nightly(engine: Engine, active_version: int, tmp_path: Path) -> Nightly:
    return add_nightly(engine, tmp_path)


def _run(engine: Engine, nightly: Nightly, seen: int = 0) -> NightOutcome:
    outcome = run_night(engine, nightly, DATE, seen, zone=SEOUL)
    assert outcome is not None
    return outcome


def _count(engine: Engine, query: str) -> int:
    with transaction(engine) as connection:
        return int(connection.execute(text(f"select count(*) from {query}")).scalar_one())


def test_a_night_is_done_with_the_crawl_that_it_released(
    engine: Engine, nightly: Nightly, tmp_path: Path
) -> None:
    write_night(tmp_path, DATE, 5)
    outcome = _run(engine, nightly)
    assert outcome.loaded is not None
    assert (outcome.state, outcome.loaded.counts.accepted) == ("done", 5)
    night = read_night(engine, nightly, DATE)
    assert (night.state, night.crawl_id, night.held) == ("done", outcome.loaded.crawl, False)
    assert run_night(engine, nightly, DATE, 1, zone=SEOUL) is None
    assert _count(engine, "crawl") == 1


def test_nothing_there_is_missing_and_a_later_file_is_taken_in(
    engine: Engine, nightly: Nightly, tmp_path: Path
) -> None:
    outcome = _run(engine, nightly)
    assert outcome.state == "missing"
    assert outcome.reason == f"nothing matches {tmp_path}/{DATE}/*.jsonl"
    night = read_night(engine, nightly, DATE)
    assert (night.state, night.reason, night.held) == ("missing", outcome.reason, False)
    assert night.next_try_at is not None
    assert _count(engine, "crawl") == 0
    write_night(tmp_path, DATE, 5)
    assert _run(engine, nightly, seen=1).state == "done"
    assert read_night(engine, nightly, DATE).reason is None


def test_input_that_cannot_be_read_fails_the_night_for_good(
    engine: Engine, nightly: Nightly, tmp_path: Path
) -> None:
    path = write_night(tmp_path, DATE, 0)
    path.write_text('{"id": 1, "no": "text"}\n')
    outcome = _run(engine, nightly)
    assert isinstance(outcome.error, InputError)
    night = read_night(engine, nightly, DATE)
    assert (night.state, night.next_try_at) == ("failed", None)
    assert "no text column" in str(night.reason)


def test_a_fault_of_ours_fails_the_night_and_quotes_no_document(
    engine: Engine, nightly: Nightly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_more: object) -> None:
        raise KeyError("정말 좋았다")

    write_night(tmp_path, DATE, 5)
    monkeypatch.setattr(night_run, "find_files", broken)
    outcome = _run(engine, nightly)
    night = read_night(engine, nightly, DATE)
    assert night.state == outcome.state == "failed"
    assert str(night.reason).startswith("KeyError at test_night_run.py:")
    assert isinstance(outcome.error, KeyError)


def test_a_file_that_is_still_being_written_is_waited_for(
    engine: Engine, nightly: Nightly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_night(tmp_path, DATE, 5)
    monkeypatch.setattr(Input, "has_changed", lambda _self: True)
    outcome = _run(engine, nightly)
    assert (outcome.state, _count(engine, "crawl")) == ("waiting", 0)
    assert read_night(engine, nightly, DATE).next_try_at is not None
    monkeypatch.undo()
    assert _run(engine, nightly, seen=1).state == "done"


def test_a_file_that_comes_while_others_are_read_is_waited_for(
    engine: Engine, nightly: Nightly, tmp_path: Path
) -> None:
    first = write_night(tmp_path, DATE, 5)

    def another(_progress: Progress) -> None:
        write_jsonl(first.with_name("late.jsonl"), posts(5, start=5))

    outcome = run_night(engine, nightly, DATE, 0, zone=SEOUL, on_progress=another)
    assert outcome is not None
    assert (outcome.state, _count(engine, "crawl")) == ("waiting", 0)
    again = _run(engine, nightly, seen=1)
    assert again.loaded is not None
    assert again.loaded.counts.accepted == 10


def test_a_file_changed_a_moment_ago_is_waited_for_and_one_of_tomorrow_is_not(
    engine: Engine, nightly: Nightly, tmp_path: Path
) -> None:
    path = write_night(tmp_path, DATE, 5)
    os.utime(path)
    waiting = run_night(engine, nightly, DATE, 0, zone=SEOUL, settled_s=60)
    assert waiting is not None
    assert waiting.state == "waiting"
    os.utime(path, (time.time() + 86_400,) * 2)
    done = run_night(engine, nightly, DATE, 1, zone=SEOUL, settled_s=60)
    assert done is not None
    assert done.state == "done"


def test_another_load_of_the_source_is_waited_for(
    engine: Engine, nightly: Nightly, tmp_path: Path
) -> None:
    write_night(tmp_path, DATE, 5)
    with session(engine) as other:
        source_id = crawls.ensure_source(other, "blog")
        other.commit()
        assert locks.try_load_lock(other, source_id)
        other.commit()
        outcome = _run(engine, nightly)
        locks.release_load_lock(other, source_id)
        other.commit()
    assert outcome.state == "waiting"
    assert isinstance(outcome.error, ServiceError)
    night = read_night(engine, nightly, DATE)
    assert night.state == "waiting"
    assert night.next_try_at is not None
    assert _run(engine, nightly, seen=1).state == "done"


def test_two_at_once_take_it_in_once(engine: Engine, nightly: Nightly, tmp_path: Path) -> None:
    write_night(tmp_path, DATE, 500)
    outcomes: list[NightOutcome | None] = []
    together = threading.Barrier(2)

    def run() -> None:
        together.wait(30)
        outcomes.append(run_night(engine, nightly, DATE, 0, zone=SEOUL))

    racers = [threading.Thread(target=run) for _ in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(outcome is None for outcome in outcomes) == [False, True]
    assert _count(engine, "crawl") == 1
    assert _count(engine, "document") == 500


def test_a_night_in_hand_is_left_alone(engine: Engine, nightly: Nightly, tmp_path: Path) -> None:
    write_night(tmp_path, DATE, 5)
    seen: list[object] = []

    def meanwhile(_progress: Progress) -> None:
        seen.append(read_night(engine, nightly, DATE).held)
        seen.extend(run_night(engine, nightly, DATE, attempt, zone=SEOUL) for attempt in (0, 1))

    assert run_night(engine, nightly, DATE, 0, zone=SEOUL, on_progress=meanwhile) is not None
    assert seen == [True, None, None]


def test_a_night_killed_in_the_middle_is_begun_anew_and_nothing_doubles(
    engine: Engine, nightly: Nightly, database_url: str, tmp_path: Path
) -> None:
    write_night(tmp_path, DATE, 40_000)
    code = (
        "import datetime, os, signal, sys; from db.engine import make_engine, transaction;"
        "from db import nights; from producer.night_run import run_night;"
        "from zoneinfo import ZoneInfo; engine = make_engine(sys.argv[1])\n"
        "with transaction(engine) as c: (nightly,) = nights.list_nightlies(c)\n"
        "run_night(engine, nightly, datetime.date.fromisoformat(sys.argv[2]), 0,"
        " zone=ZoneInfo('Asia/Seoul'), on_progress=lambda p: os.kill(os.getpid(), 9))"
    )
    killed = subprocess.run([sys.executable, "-c", code, database_url, str(DATE)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert _count(engine, "document") > 0
    outcome = _run(engine, nightly, seen=1)
    assert (outcome.state, outcome.reason) == ("done", None)
    assert _count(engine, "document") == 40_000
    assert _count(engine, "crawl") == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_night_is_given_back_and_its_load_deleted(
    engine: Engine, nightly: Nightly, tmp_path: Path, stop: type[BaseException]
) -> None:
    def interrupt(_progress: Progress) -> None:
        raise stop

    write_night(tmp_path, DATE, 5)
    with pytest.raises(stop):
        run_night(engine, nightly, DATE, 0, zone=SEOUL, on_progress=interrupt)
    night = read_night(engine, nightly, DATE)
    assert (night.state, night.reason, night.held) == ("waiting", "interrupted", False)
    assert _count(engine, "crawl") == 0
    assert _run(engine, nightly, seen=1).state == "done"


def test_a_night_that_was_taken_over_releases_nothing(
    engine: Engine, nightly: Nightly, tmp_path: Path
) -> None:
    """The holder's connection was cut, another took the night, and the first goes on."""

    def overtaken(_progress: Progress) -> None:
        with transaction(engine) as connection:
            connection.execute(text("update night set attempt = attempt + 1"))

    write_night(tmp_path, DATE, 5)
    outcome = run_night(engine, nightly, DATE, 0, zone=SEOUL, on_progress=overtaken)
    assert outcome is not None
    assert (outcome.state, type(outcome.error)) == ("lost", NightLost)
    assert _count(engine, "crawl") == 0
    assert read_night(engine, nightly, DATE).state == "running"


def test_a_nightly_removed_while_its_night_runs(
    engine: Engine, nightly: Nightly, tmp_path: Path
) -> None:
    def remove(_progress: Progress) -> None:
        with transaction(engine) as connection:
            nights.remove_nightly(connection, nightly.id)

    write_night(tmp_path, DATE, 5)
    outcome = run_night(engine, nightly, DATE, 0, zone=SEOUL, on_progress=remove)
    assert outcome is not None
    assert outcome.state == "lost"
    assert _count(engine, "crawl") == 0


def test_options_come_back_as_they_were() -> None:
    read = ReadOptions(ColumnOptions("본문", "id", "time", ("likes", "좋아요")), "cp949")
    options = NightOptions(read, 0.25)
    assert NightOptions.from_row(options.to_row()) == options
    assert NightOptions.from_row({}) == NightOptions()
