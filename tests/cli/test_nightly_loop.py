"""The loop beside `scheduler` and `up`: fair among nightlies, stopped midway, in two places."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import structlog
from sqlalchemy import text

from cli import nightly_loop
from cli.nightly_loop import NightWatch
from core.errors import DatabaseError
from db.engine import Engine, make_engine, transaction
from producer.ingest import Progress
from producer.night_run import NightOutcome, run_night
from tests.acceptance.command import wait_until
from tests.nights import ONE_DAY, add_nightly, read_night, settle, utc_today, write_night

UTC = ZoneInfo("UTC")
TODAY = utc_today()


def _nights(engine: Engine) -> list[tuple[str, str, str]]:
    query = "select nightly, date, state from nightly_status order by nightly, date"
    with transaction(engine) as connection:
        return [(row[0], str(row[1]), row[2]) for row in connection.execute(text(query))]


def _ran(engine: Engine) -> list[str]:
    """Who was run, in the order of running."""
    query = "select nightly from nightly_status where started_at is not null order by started_at"
    with transaction(engine) as connection:
        return list(connection.scalars(text(query)))


@pytest.fixture
def said() -> object:
    with structlog.testing.capture_logs() as captured:
        yield captured


def test_missed_nights_are_caught_up_or_skipped_as_the_rule_says(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    """Yesterday's was missed; today's too, unless the test runs in the first hour of the day."""
    first = TODAY - 2 * ONE_DAY
    for name in ("later", "never"):
        for n in range(2):
            write_night(tmp_path / name, first + n * ONE_DAY, 3, start=3 * n)
    add_nightly(engine, tmp_path / "later", "later", first=first)
    add_nightly(engine, tmp_path / "never", "never", first=first, missed="skip")
    watch = NightWatch(engine, UTC)
    while watch.tick():
        pass
    days = [str(first), str(first + ONE_DAY)]
    found = [night for night in _nights(engine) if night[1] in days]
    assert found == [
        ("later", days[0], "done"),
        ("later", days[1], "done"),
        ("never", days[0], "skipped"),
        ("never", days[1], "skipped"),
    ]
    with transaction(engine) as connection:
        counted = connection.execute(text("select source, accepted from crawl_status")).all()
    assert [tuple(row) for row in counted] == [("later", 3), ("later", 3)]


def test_a_nightly_that_catches_up_or_fails_keeps_no_other_from_its_night(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    """One night of each a round: `b` does not wait for all that `a` has missed."""
    first = TODAY - 2 * ONE_DAY
    for n in range(3):
        path = write_night(tmp_path / "a", first + n * ONE_DAY, 3, start=3 * n)
    path.write_text("{}\n")  # no text column
    settle(path)
    write_night(tmp_path / "b", TODAY, 3)
    add_nightly(engine, tmp_path / "a", "a", first=first)
    add_nightly(engine, tmp_path / "b", "b")
    watch = NightWatch(engine, UTC)
    while watch.tick():
        pass
    assert _ran(engine) == ["a", "b", "a", "a"]
    states = [state for _name, _date, state in _nights(engine)]
    assert states == ["done", "done", "failed", "done"]


def test_a_night_that_took_its_process_down_comes_last(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    older = add_nightly(engine, tmp_path / "a", "a", first=TODAY - ONE_DAY)
    with transaction(engine) as connection:
        connection.execute(
            text(
                "insert into night (nightly_id, date, state, attempt)"
                " values (:nightly, :date, 'running', 3)"
            ),
            {"nightly": older.id, "date": TODAY - ONE_DAY},
        )
    add_nightly(engine, tmp_path / "b", "b")
    NightWatch(engine, UTC).tick()
    assert _ran(engine) == ["b", "a"]


def test_a_late_crawl_is_looked_for_again_and_said_once(
    engine: Engine, active_version: int, tmp_path: Path, said: list[dict[str, object]]
) -> None:
    nightly = add_nightly(engine, tmp_path)
    watch = NightWatch(engine, UTC)
    assert watch.tick()
    assert not watch.tick()  # its time to look again has not come
    for _ in range(2):
        _look_again(engine)
        assert watch.tick()
    assert [entry["state"] for entry in said if entry["event"] == "night_not_done"] == ["missing"]
    write_night(tmp_path, TODAY, 3)
    _look_again(engine)
    assert watch.tick()
    assert read_night(engine, nightly, TODAY).state == "done"
    assert not watch.tick()


def _look_again(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text("update night set next_try_at = now()"))


def test_two_schedulers_take_every_night_in_once(
    database_url: str, engine: Engine, active_version: int, tmp_path: Path
) -> None:
    first = TODAY - 5 * ONE_DAY
    for n in range(6):
        write_night(tmp_path, first + n * ONE_DAY, 50, start=50 * n)
    add_nightly(engine, tmp_path, first=first)
    engines = [make_engine(database_url) for _ in range(2)]
    with NightWatch(engines[0], UTC), NightWatch(engines[1], UTC):
        wait_until(
            "all nights are done",
            lambda: [night[2] for night in _nights(engine)] == ["done"] * 6,
        )
    for each in engines:
        each.dispose()
    with transaction(engine) as connection:
        assert connection.scalar(text("select count(*) from crawl")) == 6
        assert connection.scalar(text("select count(*) from document")) == 300
        assert connection.scalar(text("select sum(duplicate) from crawl")) == 0


def test_leaving_gives_the_night_in_hand_back(
    engine: Engine, active_version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading, told = threading.Event(), threading.Event()

    def slow_night(*arguments: object, **more: object) -> NightOutcome | None:
        stop_if_told = more.pop("on_progress")

        def wait_for_stop(progress: Progress) -> None:
            loading.set()
            assert told.wait(60)
            stop_if_told(progress)  # type: ignore[operator]

        return run_night(*arguments, **more, on_progress=wait_for_stop)  # type: ignore[arg-type]

    write_night(tmp_path, TODAY, 5)
    nightly = add_nightly(engine, tmp_path)
    monkeypatch.setattr(nightly_loop, "run_night", slow_night)
    watch = NightWatch(engine, UTC)
    with watch:
        assert loading.wait(60)
        assert read_night(engine, nightly, TODAY).held
        watch._stop.set()
        told.set()
    night = read_night(engine, nightly, TODAY)
    assert (night.state, night.reason, night.held) == ("waiting", "interrupted", False)
    with transaction(engine) as connection:
        assert connection.scalar(text("select count(*) from crawl")) == 0


def test_a_night_that_falls_due_in_a_long_load_is_not_missed(
    engine: Engine, active_version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its row before it is late, so that its rule does not skip it afterwards."""
    states: list[str] = []

    def long_night(*arguments: object, **more: object) -> NightOutcome | None:
        between_slices = more.pop("on_progress")

        def meanwhile(progress: Progress) -> None:
            if not states:
                falls_due = add_nightly(engine, tmp_path / "b", "b", missed="skip", at=_just_now())
                between_slices(progress)  # type: ignore[operator]
                states.append(read_night(engine, falls_due, falls_due.first_date).state)

        return run_night(*arguments, **more, on_progress=meanwhile)  # type: ignore[arg-type]

    write_night(tmp_path / "a", TODAY, 5)
    add_nightly(engine, tmp_path / "a", "a")
    monkeypatch.setattr(nightly_loop, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(nightly_loop, "run_night", long_night)
    NightWatch(engine, UTC).tick()
    assert states == ["waiting"]


def _just_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)


def test_the_loop_outlives_a_database_that_is_away(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, said: list[dict[str, object]]
) -> None:
    ticks: list[None] = []

    def tick(_watch: NightWatch) -> bool:
        ticks.append(None)
        if len(ticks) < 4:
            raise DatabaseError("PostgreSQL is away")
        return False

    monkeypatch.setattr(nightly_loop, "TICK_S", 0.01)
    monkeypatch.setattr(NightWatch, "tick", tick)
    with NightWatch(engine, UTC):
        wait_until("it goes on", lambda: len(ticks) > 4)
    assert [entry["event"] for entry in said] == ["nights_wait", "nights_go_on"]
