"""One attempt at a retrain, from its row to its version, on a real fit of a tiny model."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from core.errors import DatabaseError, StoreError
from core.settings import Settings
from db import training_leases, training_runs, versions
from db.engine import Connection, Engine, transaction
from db.training_leases import Claim
from db.training_runs import TrainingRun
from db.versions import VersionRow
from sentiment.classifier import Classifier
from sentiment.store import Store, verify
from tests.crawls import load_files
from tests.labelled import (
    build_fitted_version,
    one_thread,
    write_labelled,
    write_sentences,
)
from tests.tiny_version import build_tiny_version
from trainer import judged, loop, retrain, run_row
from trainer.evidence import Evidence, HeldOut
from trainer.publishing import Publisher
from trainer.request import RetrainRequest
from trainer.retrain import Retrain, main
from trainer.run_row import RunRow

ROWS = 300
SWAPPED = ("긍정", "중립", "부정")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one_thread()
    return build_fitted_version(tmp_path_factory.mktemp("made") / "fitted")


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """In the environment, where the process finds them."""
    settings = {
        "DATABASE_URL": database_url,
        "HOME": str(tmp_path / "home"),
        "DEVICE": "cpu",
        "LOG_LEVEL": "error",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"NIFOS_{name}", value)
    return Settings()


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.store_url, settings.home / "cache")


@pytest.fixture
def base(engine: Engine, store: Store, fitted: Path) -> VersionRow:
    """A version that knows the words, registered and active."""
    return _activate(engine, store, fitted, "base")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_labelled(tmp_path / "labelled.jsonl", range(ROWS))


@pytest.fixture
def attempt(engine: Engine, data: Path) -> Callable[..., TrainingRun]:
    """Ask for a retrain, train it here, and give its row."""

    def ask_and_train(**changes: Any) -> TrainingRun:
        fields = {
            "data": [str(data)],
            "base": "base",
            "epochs": 1.0,
            "batch_size": 64,
            "learning_rate": 1e-5,
        }
        request = RetrainRequest.checked(fields | changes)
        with transaction(engine) as connection:
            training_runs.request_run(connection, request.model_dump(), "kim@desk")
            claimed = training_leases.claim(connection, "me")
        assert claimed is not None
        assert main([str(claimed.run_id), str(claimed.attempt)]) == 0
        with transaction(engine) as connection:
            run = training_runs.get_run(connection, claimed.run_id)
        assert run is not None
        return run

    return ask_and_train


def _activate(engine: Engine, store: Store, directory: Path, name: str) -> VersionRow:
    store.publish(directory, name)
    with transaction(engine) as connection:
        version_id = versions.register_version(
            connection,
            name=name,
            store_path=name,
            checksums=verify(directory).checksums(),
            metrics={},
        )
        versions.activate_version(connection, version_id)
        row = versions.get_version(connection, version_id)
    assert row is not None
    return row


def _active(engine: Engine) -> str:
    with transaction(engine) as connection:
        version = versions.active_version(connection)
    assert version is not None
    return version.name


def test_a_version_comes_of_it_with_all_that_is_known_of_it(
    engine: Engine, store: Store, base: VersionRow, attempt: Callable[..., TrainingRun]
) -> None:
    run = attempt(class_weights="balanced", epochs=2.0)
    assert (run.state, run.exit_code, run.reason) == ("published", 0, None)
    assert run.version is not None
    assert run.version.endswith(f"-run{run.id}")
    assert _active(engine) == run.version
    manifest = verify(store.fetch(run.version))
    assert "report.html" in manifest.files
    assert manifest.temperature != 1.0
    assert manifest.training["request"]["class_weights"] == "balanced"
    errors = manifest.metrics["validation_calibration_error"]
    assert errors["after"] <= errors["before"] + 0.02
    assert run.progress["data"]["texts"] == ROWS
    sides = run.progress["data"]["counts"]
    assert sum(sum(counts.values()) for counts in sides.values()) == ROWS
    assert run.progress["fit"]["stopped_epoch"] == 2.0
    assert run.verdict is not None
    assert run.verdict["figures"]["active"] is not None
    with transaction(engine) as connection:
        (newest, _first) = versions.list_activations(connection, 5)
        version = versions.find_version(connection, run.version)
    assert (newest.who, newest.forced) == ("kim@desk", False)
    assert newest.why == f"retrain {run.id}, which the gate let pass"
    assert version is not None
    assert version.verdict == run.verdict
    assert version.checksums == manifest.checksums()
    classifier = Classifier.load(store.fetch(run.version), device="cpu")
    assert len(classifier.predict(["재미있었다"])) == 1


def test_annotations_are_rows_too(
    engine: Engine, base: VersionRow, attempt: Callable[..., TrainingRun], tmp_path: Path
) -> None:
    load_files(engine, "blog", [write_sentences(tmp_path / "crawl.jsonl", range(60))])
    with transaction(engine) as connection:
        connection.execute(
            text(
                "insert into annotation (document_id, label, annotator)"
                " select id, cast((array['negative', 'neutral', 'positive'])"
                "  [1 + cast(substring(external_id from 3) as int) % 3] as sentiment_label), 'kim'"
                " from document"
            )
        )
    run = attempt(data=[])
    assert run.state == "published", run.reason
    assert (run.progress["data"]["texts"], run.progress["data"]["annotations"]) == (60, 60)


def test_a_candidate_that_says_otherwise_is_stored_and_not_used(
    engine: Engine, base: VersionRow, attempt: Callable[..., TrainingRun], tmp_path: Path
) -> None:
    load_files(engine, "blog", [write_sentences(tmp_path / "crawl.jsonl", range(0, 3_000, 3))])
    swapped = write_labelled(tmp_path / "swapped.jsonl", range(ROWS), SWAPPED)
    run = attempt(data=[str(swapped)], learning_rate=1e-2, epochs=3.0)
    assert (run.state, run.exit_code) == ("blocked", 1)
    assert run.verdict is not None
    assert run.reason == "; ".join(run.verdict["reasons"])
    assert "1,000 stored documents" in run.reason or "PSI" in run.reason
    assert run.version is not None
    assert _active(engine) == "base"
    with transaction(engine) as connection:
        version = versions.find_version(connection, run.version)
    assert version is not None
    assert version.blocked


def test_a_candidate_that_cannot_serve_is_no_version(
    engine: Engine,
    store: Store,
    base: VersionRow,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_given: object, label_ids: Any, **_others: object) -> Evidence:
        return Evidence(HeldOut(label_ids[:0], label_ids[:0]), defects=["it reads no Hangul"])

    monkeypatch.setattr(judged, "gather", broken)
    run = attempt()
    assert (run.state, run.version) == ("blocked", None)
    assert run.reason is not None
    assert "it reads no Hangul" in run.reason
    assert store.names() == ["base"]


def test_the_comparison_is_with_what_is_active_at_the_end(
    engine: Engine,
    store: Store,
    base: VersionRow,
    tmp_path: Path,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = build_tiny_version(tmp_path / "made" / "other", seed=1)
    compared: list[str] = []
    really = retrain.judge_candidate

    def judge_while_another_is_activated(*given: Any) -> Any:
        compared.append(given[2].name)
        found = really(*given)
        if len(compared) == 1:
            _activate(engine, store, other, "other")
        return found

    monkeypatch.setattr(retrain, "judge_candidate", judge_while_another_is_activated)
    run = attempt()
    assert compared == ["base", "other"]
    assert run.state == "published", run.reason
    assert sorted(store.names()) == sorted(["base", "other", str(run.version)])


def _other_becomes_active(
    engine: Engine, store: Store, made: Path, patched: pytest.MonkeyPatch, times: int
) -> list[str]:
    """After a version was put into the store, so many times. Returns the names that were put."""
    put: list[str] = []
    really = Store.publish

    def publish_and_activate(given: Store, directory: Path, name: str) -> None:
        really(given, directory, name)
        put.append(name)
        if len(put) <= times:
            other = build_tiny_version(made / f"other-{len(put)}", seed=len(put))
            patched.setattr(Store, "publish", really)
            _activate(engine, store, other, other.name)
            patched.setattr(Store, "publish", publish_and_activate)

    patched.setattr(Store, "publish", publish_and_activate)
    return put


def test_another_that_becomes_active_after_the_store_has_it_leaves_nothing_behind(
    engine: Engine,
    store: Store,
    base: VersionRow,
    tmp_path: Path,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = _other_becomes_active(engine, store, tmp_path / "made", monkeypatch, times=2)
    run = attempt()
    assert run.state == "published", run.reason
    assert put == [run.version] * 3, "the name was free again each time"
    assert sorted(store.names()) == sorted(["base", "other-1", "other-2", str(run.version)])


def test_what_is_held_out_is_kept_though_postgresql_goes_for_a_moment(
    engine: Engine,
    base: VersionRow,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A write of progress may be lost, this one not: later retrains hold the same texts out."""
    really, failed = training_leases.record_progress, []

    def fail_once(connection: Connection, claimed: Claim, progress: dict[str, Any]) -> bool:
        if "pinned" in progress and not failed:
            failed.append(progress)
            raise DatabaseError("the connection is lost")
        return really(connection, claimed, progress)

    monkeypatch.setattr(training_leases, "record_progress", fail_once)
    monkeypatch.setattr(run_row, "COMMIT_RETRY_S", 0.0)
    run = attempt()
    assert failed
    assert run.progress["pinned"] == failed[0]["pinned"]
    assert run.progress["data"]["texts"] == ROWS


def test_files_that_another_machine_has_are_waited_for(
    engine: Engine,
    base: VersionRow,
    settings: Settings,
    attempt: Callable[..., TrainingRun],
    data: Path,
) -> None:
    def die(*_given: object) -> None:
        raise MemoryError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(retrain, "judge_candidate", die)
        assert attempt().tries == 1
    shutil.rmtree(settings.training_home)  # as it is on another machine
    kept = data.rename(data.with_suffix(".away"))
    run = _try_again(engine)
    assert (run.state, run.tries) == ("queued", 1)
    assert run.reason is not None
    assert f"{data} is not on this machine" in run.reason
    kept.rename(data)
    run = _try_again(engine)
    assert run.state == "published", run.reason


class _Killed(BaseException):
    """As a kill does: nothing after it is run, and the row stays as it is."""


def _abandoned(engine: Engine) -> None:
    with transaction(engine) as connection:
        assert training_leases.return_held_by(connection, ["me"]) == 1


def test_killed_between_store_and_rows_the_next_attempt_publishes_once(
    engine: Engine, store: Store, base: VersionRow, attempt: Callable[..., TrainingRun]
) -> None:
    with pytest.MonkeyPatch.context() as patched:

        def kill(*_given: object) -> None:
            raise _Killed

        patched.setattr(Publisher, "_register", kill)
        with pytest.raises(_Killed):
            attempt()
    (_base, left) = sorted(store.names(), key=lambda name: name != "base")
    _abandoned(engine)
    run = _try_again(engine)
    assert run.state == "published", run.reason
    assert run.version == left, "its directory was taken back, its name used again"
    assert len(store.names()) == 2
    with transaction(engine) as connection:
        named = [version.name for version in versions.list_versions(connection)]
        version = versions.find_version(connection, left)
    assert named == ["base", left]
    assert version is not None
    assert store.fetch(left, version.checksums).exists()


def test_a_name_that_another_database_has_used_is_not_touched(
    engine: Engine,
    store: Store,
    base: VersionRow,
    fitted: Path,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that is there beforehand, and one that comes in between look and publish."""
    really, put = Store.publish, []

    def be_slower(given: Store, directory: Path, name: str) -> None:
        put.append(name)
        if len(put) == 1:
            really(given, fitted, name)
        really(given, directory, name)

    monkeypatch.setattr(Store, "publish", be_slower)
    run = attempt()
    assert run.state == "published", run.reason
    assert run.version == f"{put[0]}-2"
    assert put == [put[0], run.version]
    assert verify(store.fetch(put[0])).checksums() == verify(fitted).checksums()


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_in_doubt_ends_published_once(
    engine: Engine,
    store: Store,
    base: VersionRow,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
    committed: bool,
) -> None:
    """The answer to a COMMIT is lost, after it has happened or before."""
    really, asked = Publisher._register, []

    def lose_the_answer(publisher: Publisher, connection: Connection, *given: Any) -> None:
        asked.append(given)
        really(publisher, connection, *given)
        if len(asked) == 1:
            if committed:
                connection.commit()
            raise DatabaseError("the connection is lost")

    monkeypatch.setattr(Publisher, "_register", lose_the_answer)
    monkeypatch.setattr(run_row, "COMMIT_RETRY_S", 0.0)
    run = attempt()
    assert len(asked) == (1 if committed else 2)
    assert run.state == "published", run.reason
    assert _active(engine) == run.version
    assert sorted(store.names()) == sorted(["base", str(run.version)])


def test_a_run_that_is_cancelled_after_the_store_has_it_leaves_nothing_behind(
    engine: Engine,
    store: Store,
    base: VersionRow,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really = Store.publish

    def publish_and_cancel(*given: Any) -> None:
        really(*given)
        with transaction(engine) as connection:
            training_runs.cancel_run(connection, "lee")

    monkeypatch.setattr(Store, "publish", publish_and_cancel)
    assert attempt().reason == "cancelled by lee"
    assert store.names() == ["base"]


def test_a_cancelled_run_publishes_nothing(
    engine: Engine,
    store: Store,
    base: VersionRow,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really = RunRow.tell_fit

    def tell_and_cancel(row: RunRow, progress: Any) -> None:
        with transaction(engine) as connection:
            training_runs.cancel_run(connection, "lee")
        really(row, progress)

    monkeypatch.setattr(RunRow, "tell_fit", tell_and_cancel)
    run = attempt()
    assert (run.state, run.reason) == ("failed", "cancelled by lee")
    assert store.names() == ["base"]


def test_a_base_that_was_changed_by_hand_is_refused(
    store: Store, base: VersionRow, attempt: Callable[..., TrainingRun]
) -> None:
    weights = store.fetch("base") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    run = attempt()
    assert (run.state, run.exit_code) == ("failed", 4)
    assert run.reason is not None
    assert "model.safetensors is damaged" in run.reason


def _try_again(engine: Engine) -> TrainingRun:
    """What the service does with a run that waits, when its time has come."""
    with transaction(engine) as connection:
        connection.execute(text("update training_run set next_try_at = now()"))
        claimed = training_leases.claim(connection, "you")
    assert claimed is not None
    assert main([str(claimed.run_id), str(claimed.attempt)]) == 0
    with transaction(engine) as connection:
        run = training_runs.get_run(connection, claimed.run_id)
    assert run is not None
    return run


def test_a_full_disk_is_said_and_waited_for(
    engine: Engine, base: VersionRow, attempt: Callable[..., TrainingRun]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))  # bytes, for every file written
    try:
        run = attempt()
        assert (run.state, run.tries) == ("queued", 0)
        assert run.reason is not None
        assert "File too large" in run.reason
        assert "make room" in run.reason
        assert _due_in_s(engine) > 30
        for _ in range(training_leases.MAX_TRIES):
            run = _try_again(engine)
        assert (run.state, run.tries) == ("queued", 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    run = _try_again(engine)
    assert run.state == "published", run.reason


def _due_in_s(engine: Engine) -> float:
    with transaction(engine) as connection:
        due = connection.scalar(
            text("select extract(epoch from next_try_at - now()) from training_run")
        )
    return float(due or 0)


def test_a_store_that_is_away_when_all_is_done_costs_time_and_nothing_else(
    engine: Engine,
    store: Store,
    base: VersionRow,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = StoreError("model store s3://models: ConnectTimeout")

    def refuse(*_given: object) -> None:
        raise away

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Store, "publish", refuse)
        first = attempt()
        again = [_try_again(engine) for _ in range(training_leases.MAX_TRIES)]
    assert {(run.state, run.tries, run.reason) for run in (first, *again)} == {
        ("queued", 0, str(away))
    }

    def fit_anew(*_given: object, **_named: object) -> None:
        raise AssertionError("the fit is repeated")

    monkeypatch.setattr(loop.FitTrainer, "train", fit_anew)
    run = _try_again(engine)
    assert run.state == "published", run.reason
    assert run.progress["fit"] == first.progress["fit"]
    assert _active(engine) == run.version


def test_a_files_words_stay_out_of_the_reason(
    base: VersionRow, attempt: Callable[..., TrainingRun], tmp_path: Path
) -> None:
    headless = tmp_path / "headless.csv"
    headless.write_text("쓸모없는비밀,긍정\n또다른비밀,부정\n", encoding="utf-8")
    run = attempt(data=[str(headless)])
    assert (run.state, run.exit_code) == ("failed", 2)
    assert run.reason is not None
    assert "no column 'text'" in run.reason
    assert "비밀" not in run.reason


def test_what_nobody_expects_costs_a_try_and_quotes_nothing(
    base: VersionRow, attempt: Callable[..., TrainingRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(_retrain: Retrain) -> None:
        raise ValueError("쓸모없는비밀")

    monkeypatch.setattr(Retrain, "train", surprise)
    run = attempt()
    assert (run.state, run.tries) == ("queued", 1)
    assert run.reason is not None
    assert run.reason.startswith("ValueError at test_retrain.py:")


def test_a_second_attempt_trains_on_the_rows_of_the_first(
    engine: Engine, base: VersionRow, attempt: Callable[..., TrainingRun], data: Path
) -> None:
    """The file is gone and the fit is not begun anew, though the first attempt has ended it."""

    def die(*_given: object) -> None:
        raise MemoryError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(retrain, "judge_candidate", die)
        first = attempt()
    assert (first.state, first.tries) == ("queued", 1)
    data.unlink()
    run = _try_again(engine)
    assert run.state == "published", run.reason
    assert run.progress["fit"] == first.progress["fit"]
