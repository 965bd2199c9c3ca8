"""The service around the process that trains: whatever that does, the run goes on or ends."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from core.errors import ServiceError
from core.holder import holder_name
from core.settings import Settings
from db import locks, training_leases, training_runs
from db.engine import Engine, transaction
from db.training_runs import TrainingRun
from tests.acceptance.command import wait_until
from trainer import training_process
from trainer.service import TrainingService
from trainer.workdir import hold_workdir

PYTHON = (sys.executable, "-c")
# As `trainer.retrain` does: it ends when its parent does.
STAYS = (*PYTHON, "import sys; sys.stdin.read()")
DIES = (*PYTHON, "import os; os.kill(os.getpid(), 9)")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def run_id(engine: Engine) -> int:
    with transaction(engine) as connection:
        return training_runs.request_run(connection, {"when": "now"}, "kim")


def _read(engine: Engine, run_id: int) -> TrainingRun:
    with transaction(engine) as connection:
        run = training_runs.get_run(connection, run_id)
    assert run is not None
    return run


def _is(engine: Engine, run_id: int, state: str) -> Callable[[], bool]:
    return lambda: _read(engine, run_id).state == state


@contextmanager
def _trains(engine: Engine, settings: Settings, command: tuple[str, ...]) -> Iterator[None]:
    """A service whose process is another; none is left at the end."""
    with TrainingService(engine, settings, command):
        yield
    assert not _children(command)


def _children(command: tuple[str, ...]) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and child.cmdline()[: len(command)] == [*command]
    ]


def test_stopping_ends_the_process_and_costs_no_try(
    engine: Engine, settings: Settings, run_id: int
) -> None:
    with _trains(engine, settings, STAYS):
        wait_until("it trains", lambda: bool(_children(STAYS)))
        with transaction(engine) as connection:
            assert locks.count_trainers(connection) == 1
    run = _read(engine, run_id)
    assert (run.state, run.tries, run.reason) == ("queued", 0, "stopped")
    with transaction(engine) as connection:
        assert locks.count_trainers(connection) == 0


def test_a_process_that_dies_costs_a_try_and_three_are_the_end(
    engine: Engine, settings: Settings, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_leases, "RETRY_DELAY_S", 0)
    with _trains(engine, settings, DIES):
        wait_until("it is given up", _is(engine, run_id, "failed"))
    run = _read(engine, run_id)
    assert (run.tries, run.attempt) == (3, 3)
    assert run.reason == (
        "the process that trains was ended by SIGKILL, perhaps for want of memory"
    )


def test_a_process_that_misses_a_service_costs_no_try(
    engine: Engine, settings: Settings, run_id: int
) -> None:
    misses = (*PYTHON, f"raise SystemExit({ServiceError.exit_code})")
    with _trains(engine, settings, misses):
        wait_until("it is given back", lambda: _read(engine, run_id).reason is not None)
        run = _read(engine, run_id)
    assert (run.state, run.tries, run.reason) == ("queued", 0, "a service could not be reached")


def test_a_cancelled_run_ends_its_process(engine: Engine, settings: Settings, run_id: int) -> None:
    workdir = settings.training_home / f"run-{run_id}"
    with _trains(engine, settings, STAYS):
        wait_until("it trains", lambda: bool(_children(STAYS)))
        workdir.mkdir(parents=True)
        with transaction(engine) as connection:
            training_runs.cancel_run(connection, "kim")
        wait_until("it ends", lambda: not _children(STAYS), deadline_s=10)
        wait_until("its directory is removed", lambda: not workdir.exists(), deadline_s=10)
    assert _read(engine, run_id).reason == "cancelled by kim"


def test_the_lease_is_kept_while_the_process_lives(
    engine: Engine, settings: Settings, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_process, "RENEW_EVERY_S", 0.0)
    left = "select extract(epoch from lease_until - now()) from training_run where id = :run"

    def lease() -> float:
        with transaction(engine) as connection:
            return float(connection.scalar(text(left), {"run": run_id}) or 0)

    with _trains(engine, settings, STAYS):
        wait_until("it trains", lambda: bool(_children(STAYS)))
        with transaction(engine) as connection:
            connection.execute(text("update training_run set lease_until = now()"))
        wait_until("it is renewed", lambda: lease() > 50, deadline_s=10)


def test_a_silent_process_is_ended(
    engine: Engine, settings: Settings, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_process, "STUCK_S", 1.0)
    with _trains(engine, settings, STAYS):
        wait_until("it costs a try", lambda: _read(engine, run_id).tries == 1, deadline_s=20)


def test_the_run_of_a_dead_trainer_of_this_machine_is_taken_up_at_once(
    engine: Engine, settings: Settings, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_leases, "RETRY_DELAY_S", 0)
    with subprocess.Popen([*PYTHON, "input()"], stdin=subprocess.PIPE) as other:
        name = holder_name(psutil.Process(other.pid))
        with transaction(engine) as connection:
            assert training_leases.claim(connection, name) is not None
        trainer = TrainingService(engine, settings, STAYS)
        assert not trainer.tick(), "its holder lives"
        other.kill()
    stop = threading.Timer(3.0, trainer._stop.set)
    stop.start()
    assert trainer.tick()
    run = _read(engine, run_id)
    assert (run.attempt, run.tries, run.state) == (2, 1, "queued")
    trainer._presence.leave()
    stop.join()


def test_an_expired_lease_is_left_alone_for_a_moment_after_an_outage(
    engine: Engine, settings: Settings, run_id: int
) -> None:
    with transaction(engine) as connection:
        assert training_leases.claim(connection, "elsewhere/1/1") is not None
        connection.execute(text("update training_run set lease_until = now() - interval '1 s'"))
    trainer = TrainingService(engine, settings, STAYS)
    assert not trainer.tick()
    assert _read(engine, run_id).state == "running", "its own trainer comes first"
    trainer._expire_from = time.monotonic()
    assert not trainer.tick()
    assert _read(engine, run_id).state == "queued"
    trainer._presence.leave()


def test_directories_of_runs_that_ended_are_removed(
    engine: Engine, settings: Settings, run_id: int
) -> None:
    mine, ended, in_use = (settings.training_home / f"run-{n}" for n in (run_id, 98, 99))
    ended.mkdir(parents=True)
    mine.mkdir()
    with hold_workdir(in_use, {"run": 99}):
        TrainingService(engine, settings).sweep()
        assert (mine.exists(), ended.exists(), in_use.exists()) == (True, False, True)


@pytest.mark.parametrize(
    ("state", "days", "reason", "kept"),
    [
        ("failed", 6, "it died (SIGKILL)", True),
        ("failed", 8, "it died (SIGKILL)", False),
        ("failed", 0, "cancelled by kim", False),
        ("blocked", 6, "the candidate cannot serve: its answers are no numbers", True),
        ("blocked", 8, "the candidate cannot serve: its answers are no numbers", False),
    ],
)
def test_what_came_to_no_version_is_kept_for_a_week(
    engine: Engine, settings: Settings, run_id: int, state: str, days: int, reason: str, kept: bool
) -> None:
    directory = settings.training_home / f"run-{run_id}"
    (directory / "fit-1" / "checkpoint-9").mkdir(parents=True)
    with transaction(engine) as connection:
        connection.execute(
            text(
                "update training_run set state = :state, reason = :reason,"
                " finished_at = now() - make_interval(days => :days)"
            ),
            {"state": state, "reason": reason, "days": days},
        )
    TrainingService(engine, settings).sweep()
    assert directory.exists() == kept


def test_a_blocked_run_that_has_a_version_leaves_no_directory(
    engine: Engine, settings: Settings, run_id: int, active_version: int
) -> None:
    directory = settings.training_home / f"run-{run_id}"
    directory.mkdir(parents=True)
    with transaction(engine) as connection:
        connection.execute(
            text(
                "update training_run set state = 'blocked', reason = 'neutral: recall falls',"
                " version_id = :version, finished_at = now()"
            ),
            {"version": active_version},
        )
    TrainingService(engine, settings).sweep()
    assert not directory.exists()


def test_a_directory_is_one_runs_and_one_processes(tmp_path: Path) -> None:
    directory = tmp_path / "run-1"
    with hold_workdir(directory, {"run": 1, "asked": "today"}):
        (directory / "fit").mkdir()
        with (directory / "lock").open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with hold_workdir(directory, {"run": 1, "asked": "today"}):
        assert (directory / "fit").exists(), "the same run goes on"
    with hold_workdir(directory, {"run": 1, "asked": "in another database"}):
        assert not (directory / "fit").exists()
