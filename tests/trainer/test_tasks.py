"""The task `trainer.retrain`: a message from any other program becomes a run, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from celery import Celery as ForeignCelery
from celery.exceptions import Reject
from structlog.testing import capture_logs

from core.broker import connect as connect_broker
from core.broker import live_workers, make_celery_app, publish, queue_depth
from core.errors import DatabaseError, InputError, NifosError
from core.messages import ScoringKey
from db import training_runs
from db.engine import Engine, transaction
from db.training_runs import TrainingRun
from tests.acceptance.command import REPOSITORY, wait_until
from trainer import tasks


def _runs(engine: Engine) -> list[TrainingRun]:
    with transaction(engine) as connection:
        return training_runs.list_runs(connection, 10)


def test_a_message_becomes_a_run(engine: Engine) -> None:
    fields = {"data": ["/crawls/a.csv"], "class_weights": "balanced", "requested_by": "crawler"}
    run_id = tasks.ask(engine, fields, "message-1")
    (run,) = _runs(engine)
    assert (run.id, run.state, run.requested_by) == (run_id, "queued", "crawler")
    assert run.request["data"] == ["/crawls/a.csv"]
    assert run.request["class_weights"] == "balanced"
    assert run.request["seed"] == 0, "the defaults of today stand with it"


def test_the_same_message_again_is_the_same_run(engine: Engine) -> None:
    first = tasks.ask(engine, {}, "message-1")
    assert tasks.ask(engine, {}, "message-1") == first
    with pytest.raises(NifosError, match="there is one at a time"):
        tasks.ask(engine, {}, "message-2")
    with transaction(engine) as connection:
        training_runs.cancel_run(connection, "kim")
    assert tasks.ask(engine, {}, "message-1") == first
    assert [run.state for run in _runs(engine)] == ["failed"]


@pytest.mark.parametrize("who", [5, "", "x" * 201, "a\nb"])
def test_who_asks_must_be_a_name(engine: Engine, who: Any) -> None:
    with pytest.raises(InputError, match="requested_by"):
        tasks.ask(engine, {"requested_by": who}, "message-1")


@pytest.mark.parametrize(
    ("arguments", "fields"), [((), {"epochs": "쓸모없는비밀"}), (("쓸모없는비밀",), {})]
)
def test_a_bad_message_is_one_line_in_the_log(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    fields: dict[str, str],
) -> None:
    monkeypatch.setattr(tasks, "_engine", lambda: engine)
    monkeypatch.setattr(tasks, "log", structlog.get_logger())
    with capture_logs() as logs:
        tasks.retrain.run(*arguments, **fields)
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("retrain_refused", "error")
    assert "쓸모없는비밀" not in str(line)
    assert not _runs(engine)


def test_a_message_waits_in_the_queue_while_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away() -> Engine:
        raise DatabaseError("PostgreSQL cannot be reached")

    monkeypatch.setattr(tasks, "_engine", away)
    monkeypatch.setattr(tasks, "AGAIN_AFTER_S", 0.0)
    with pytest.raises(Reject) as raised:
        tasks.retrain.run()
    assert raised.value.requeue


@pytest.fixture
def trainer(database_url: str, broker_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with _trainer(database_url, broker_url, tmp_path) as process:
        yield process


@contextmanager
def _trainer(database_url: str, broker_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NIFOS_")}
    environment = kept | {
        "NIFOS_DATABASE_URL": database_url,
        "NIFOS_BROKER_URL": broker_url,
        "NIFOS_HOME": str(tmp_path / "home"),
        "NIFOS_DEVICE": "cpu",
        "NIFOS_LOG_FORMAT": "json",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "trainer"],
        env=environment,
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def test_any_other_program_asks_by_name_and_the_queues_stay_apart(
    trainer: subprocess.Popen[str], engine: Engine, broker_url: str
) -> None:
    """With Celery alone, as the task's docstring says; without a file the run fails, by itself."""
    ours = make_celery_app(broker_url)
    with connect_broker(ours) as connection:
        publish(ours, connection, [ScoringKey(1, 1)])
    foreign = ForeignCelery("other", broker=broker_url, set_as_current=False)
    for fields in (
        {"epochs": "쓸모없는비밀"},
        {"data": ["/gone/a.csv"], "requested_by": "crawler"},
    ):
        foreign.send_task("trainer.retrain", queue="nifos.train", kwargs=fields)
    foreign.close()
    wait_until("the run has ended", lambda: [run.state for run in _runs(engine)] == ["failed"])
    (run,) = _runs(engine)
    assert (run.reason, run.exit_code) == ("/gone/a.csv: no such file", 2)
    with connect_broker(ours) as connection:
        assert queue_depth(connection) == 1, "a trainer takes no scorings"
    assert live_workers(ours, 1.0) == [], "and is no worker"
    ours.close()
    trainer.send_signal(signal.SIGTERM)
    _out, err = trainer.communicate(timeout=30)
    assert trainer.returncode == 0, err
    assert "쓸모없는비밀" not in err
    assert "Traceback" not in err
    assert '"event": "retrain_refused"' in err


def test_what_is_in_the_database_is_trained_without_redis(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    with _trainer(database_url, "redis://127.0.0.1:1/0", tmp_path) as trainer:
        tasks.ask(engine, {"data": ["/gone/a.csv"]}, "by command")
        wait_until("the run has ended", lambda: [run.state for run in _runs(engine)] == ["failed"])
        trainer.send_signal(signal.SIGTERM)
        _out, err = trainer.communicate(timeout=30)
        assert trainer.returncode == 0, err
    assert [run.reason for run in _runs(engine)] == ["/gone/a.csv: no such file"]
