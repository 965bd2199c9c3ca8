"""A retrain by the real command: in the middle of a crawl, killed, and asked for wrongly."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from db import locks, status, training_runs
from db.engine import Engine, transaction
from db.training_runs import TrainingRun
from sentiment.store import Store
from tests.acceptance.command import Nifos, wait_until
from tests.labelled import build_fitted_version, one_thread, write_labelled, write_sentences
from tests.published import publish_version

pytestmark = pytest.mark.slow

DOCUMENTS = 12_000  # three chunks; the gate wants a sample of 10,000
LATER = 2_000


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one_thread()
    return build_fitted_version(tmp_path_factory.mktemp("made") / "fitted")


@pytest.fixture
def nifos(
    engine: Engine, database_url: str, broker_url: str, fitted: Path, tmp_path: Path
) -> Iterator[Nifos]:
    """On servers that run already, with an active version that knows the words."""
    command = Nifos(
        tmp_path / "home",
        NIFOS_DATABASE_URL=database_url,
        NIFOS_BROKER_URL=broker_url,
        NIFOS_DEVICE="cpu",
        OMP_NUM_THREADS="1",
    )
    store = Store(str(command.home / "models"), tmp_path / "cache")
    publish_version(engine, store, fitted, "first")
    yield command
    command.end()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_labelled(tmp_path / "labelled.jsonl", range(600))


def _newest(engine: Engine) -> TrainingRun | None:
    with transaction(engine) as connection:
        return next(iter(training_runs.list_runs(connection, 1)), None)


def _labels(process: psutil.Process) -> bool:
    return any("spawn_main" in word for word in process.cmdline())


def _trainers(engine: Engine) -> int:
    with transaction(engine) as connection:
        return locks.count_trainers(connection)


def _ended(process: subprocess.Popen[str], exit_code: int = 0) -> dict[str, Any]:
    out, err = process.communicate(timeout=180)
    assert process.returncode == exit_code, err
    assert "Traceback" not in err
    printed: dict[str, Any] = json.loads(out)
    return printed


def test_a_retrain_during_a_running_crawl(
    nifos: Nifos, engine: Engine, data: Path, tmp_path: Path
) -> None:
    """Every document once by the version that its scoring names; the new one without a restart."""
    worker = nifos.start("worker", NIFOS_WORKER_PROCESSES="1", NIFOS_BATCH_TOKENS="64")
    crawl = write_sentences(tmp_path / "crawl.jsonl", range(DOCUMENTS))
    nifos.json("enqueue", crawl, "--source", "blog", "--json")
    with transaction(engine) as connection:
        wait_until("a chunk is being worked", lambda: status.work_status(connection).running > 0)
    (child,) = (one for one in psutil.Process(worker.pid).children() if _labels(one))
    child.suspend()  # the crawl stays in the middle of its work until the swap has happened
    arguments = ("--data", data, "--base", "first", "--learning-rate", "1e-6", "--epochs", "1")
    done = nifos("retrain", *arguments, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert (run["state"], run["verdict"]["passed"]) == ("published", True)
    assert run["verdict"]["figures"]["sample"]["documents"] >= 10_000
    assert Path(run["report"]).stat().st_size > 1_000_000
    child.resume()
    later = write_sentences(tmp_path / "later.jsonl", range(DOCUMENTS, DOCUMENTS + LATER))
    enqueued = nifos.json("enqueue", later, "--source", "blog", "--wait", "--json")
    assert (enqueued["version"], enqueued["labelled"]) == (run["version"], LATER)
    open_scorings = "select count(*) from scoring where state in ('pending', 'running')"
    wait_until("the crawl is done", lambda: nifos.scalar(open_scorings) == 0)
    in_the_middle = (
        "select count(*) from scoring s join version v on v.id = s.version_id"
        " join activation a on a.why like 'retrain%'"
        " where v.name = 'first' and s.finished_at > a.at"
    )
    assert nifos.scalar(in_the_middle) > 0
    assert worker.poll() is None
    nifos.check_complete(DOCUMENTS + LATER)
    by_version = nifos.json(
        "sql", "--format", "json", "select version, count(*) as n from sentiment group by 1"
    )
    named = {row["version"]: row["n"] for row in by_version}
    assert named == {"first": DOCUMENTS, run["version"]: LATER}
    otherwise = (
        "select count(*) from label l join document d on d.id = l.document_id"
        " left join scoring s on s.chunk_id = d.chunk_id and s.version_id = l.version_id"
        " and s.state = 'done' where s.chunk_id is null"
    )
    assert nifos.scalar(otherwise) == 0
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode == 0


FIT = ("--base", "first", "--learning-rate", "1e-4", "--epochs", "5", "--batch-size", "8")


def test_a_trainer_killed_in_the_third_epoch_costs_nothing_but_time(
    nifos: Nifos, engine: Engine, tmp_path: Path
) -> None:
    data = write_labelled(tmp_path / "labelled.jsonl", range(3_000))
    asked = ("retrain", "--data", data, *FIT, "--seed", "7", "--wait", "--json")
    whole = _ended(nifos.start(*asked))
    trainer = nifos.start("trainer")
    wait_until("the trainer shows", lambda: _trainers(engine) == 1)
    waiting = nifos.start(*asked)

    def epoch() -> float:
        assert waiting.poll() is None, waiting.communicate()[1]
        run = _newest(engine)
        return -1 if run is None or run.state != "running" else run.progress.get("epoch", -1)

    wait_until("it trains", lambda: epoch() >= 0)
    training = psutil.Process(trainer.pid).children()
    wait_until("the third epoch", lambda: epoch() >= 2, every_s=0.02)
    trainer.kill()
    assert epoch() < 3
    killed, interrupted = _ended(waiting), _newest(engine)
    assert not [process for process in training if process.is_running()]
    assert interrupted is not None
    assert (interrupted.attempt, interrupted.tries) == (2, 0), "it has got further"
    fits = whole["progress"]["fit"], killed["progress"]["fit"]
    assert [fit["resumed"] for fit in fits] == [0, 1]
    assert fits[0]["records"] == fits[1]["records"] > 5
    assert fits[1]["best_macro_f1"] == pytest.approx(fits[0]["best_macro_f1"], abs=0.01)
    assert fits[0]["stopped_step"] == fits[1]["stopped_step"]
    assert not list((nifos.home / "training").iterdir()), "what a run leaves is removed"


def test_ctrl_c_leaves_the_run_for_later_and_a_second_one_is_told_of_it(
    nifos: Nifos, engine: Engine, tmp_path: Path
) -> None:
    data = write_labelled(tmp_path / "labelled.jsonl", range(8_000))  # an epoch takes its time
    waiting = nifos.start("retrain", "--data", data, *FIT, "--wait")
    wait_until(
        "it trains",
        lambda: (
            waiting.poll() is None
            and (run := _newest(engine)) is not None
            and run.progress.get("step", 0) > 0
        ),
    )
    second = nifos("retrain", "--data", data)
    assert second.returncode == 1
    assert re.match(r"nifos: retrain 1 is running \(epoch \d+\.\d of 5\); ", second.stderr)
    assert second.stderr.count("\n") == 1
    os.kill(waiting.pid, signal.SIGINT)
    _out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert "retrain 1 stays queued" in err.splitlines()[-1]
    assert "epoch 1: step" in err
    run = _newest(engine)
    assert run is not None
    assert (run.state, run.tries) == ("queued", 0)
    cancelled = nifos("retrain", "--cancel")
    assert cancelled.returncode == 0
    run = _newest(engine)
    assert run is not None
    assert run.reason is not None
    assert run.reason.startswith("cancelled by ")
    assert nifos("retrain", "--cancel").returncode == 1


def test_what_can_be_seen_at_once_is_said_at_once(
    nifos: Nifos, engine: Engine, tmp_path: Path, data: Path
) -> None:
    few = write_labelled(tmp_path / "few.jsonl", range(29))
    unknown = write_labelled(tmp_path / "unknown.jsonl", range(90), ("bad", "so-so", "good"))
    two = write_labelled(tmp_path / "two.jsonl", range(90), ("부정", "부정", "긍정"))
    weights = nifos.home / "models" / "first" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    for arguments, exit_code, words in (
        (("--data", few), 2, "29 different texts"),
        (("--data", unknown), 2, "bad"),
        (("--data", unknown), 2, "so-so"),
        (("--data", data, "--label-map", "0:negative"), 2, "--label-map must be like 0=negative,"),
        (("--data", two), 2, "neutral"),
        (("--data", tmp_path / "gone.csv"), 2, "gone.csv: no such file"),
        (("--data", data, "--label-column", "sentiment"), 2, "sentiment"),
        (("--data", data, "--base", "first"), 4, "model.safetensors is damaged"),
        ((), 2, "nothing to train on"),
    ):
        done = nifos("retrain", *arguments)
        assert (done.returncode, done.stdout) == (exit_code, "")
        assert words in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
    assert _newest(engine) is None


def test_labels_by_id_are_read_by_their_map(nifos: Nifos, engine: Engine, tmp_path: Path) -> None:
    ids = write_labelled(tmp_path / "ids.jsonl", [*range(90), 91, 94], ("0", "1", "2"))
    asked = ("retrain", "--data", ids, "--base", "first", "--json")
    done = nifos.json(*asked, "--label-map", "0=부정, 1=neutral,2=긍정")
    counts = done["data"]["counts"].values()
    totals = {name: sum(side[name] for side in counts) for name in ("negative", "neutral")}
    assert (done["state"], totals) == ("queued", {"negative": 30, "neutral": 32})
    run = _newest(engine)
    assert run is not None
    assert run.request["label_map"] == {"0": "부정", "1": "neutral", "2": "긍정"}


def test_what_a_person_reads_and_a_base_that_cannot_be_fetched(
    nifos: Nifos, data: Path, tmp_path: Path
) -> None:
    rare = write_labelled(tmp_path / "rare.jsonl", [*range(0, 900, 3), *range(2, 900, 3), 1, 4, 7])
    hub = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    done = nifos("retrain", "--data", rare, "--wait", **hub)
    assert done.returncode == 4
    assert "neutral 중립" in done.stdout
    assert "warning: only 0.5 % of the texts are neutral" in done.stderr
    assert "hf download monologg/koelectra-base-v3-discriminator" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    shown = nifos("retrain", "--status")
    assert "failed" in shown.stdout
