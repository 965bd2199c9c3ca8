"""One attempt at a retrain, from its row to its version, on a real fit of a tiny model."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from sqlalchemy import text

from cli.services import Services
from cli.training_output import run_as_json
from core.errors import DatabaseError
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
    sentence,
    write_labelled,
    write_sentences,
)
from tests.retrains import ROWS, activate, active_name, try_again
from tests.small_fit import PADDING_LENGTH, make_vocabulary
from tests.tiny_version import TEXTS, build_tiny_version
from trainer import candidate, judged, retrain, run_row
from trainer.base_directory import save_base
from trainer.evidence import Evidence, HeldOut
from trainer.fit import FitResult
from trainer.report_html import escape
from trainer.retrain import Retrain
from trainer.retrain_data import SIDES, load_data
from trainer.run_row import RunRow
from trainer.service import TrainingService
from trainer.shape import Shape, make_discriminator
from trainer.split import TEST_SHARE, VALIDATION_SHARE, text_hash

SWAPPED = ("긍정", "중립", "부정")


def test_a_version_comes_of_it_with_all_that_is_known_of_it(
    engine: Engine, store: Store, base: VersionRow, attempt: Callable[..., TrainingRun]
) -> None:
    run = attempt(class_weights="balanced", epochs=2.0)
    assert (run.state, run.exit_code, run.reason) == ("published", 0, None)
    assert run.version is not None
    assert run.version.endswith(f"-run{run.id}")
    assert active_name(engine) == run.version
    manifest = verify(store.fetch(run.version))
    assert "report.html" in manifest.files
    assert manifest.temperature != 1.0
    assert manifest.training["request"]["class_weights"] == "balanced"
    errors = manifest.metrics["validation_calibration_error"]
    assert errors["after"] <= errors["before"] + 0.02
    assert run.progress["data"]["texts"] == ROWS
    sides = run.progress["data"]["counts"]
    assert sum(sum(counts.values()) for counts in sides.values()) == ROWS
    assert run.progress["data"]["shares"] == {
        side: {name: round(n / sum(counts.values()), 4) for name, n in counts.items()}
        for side, counts in sides.items()
    }
    fit = run.progress["fit"]
    assert fit["stopped_epoch"] == 2.0
    shown = run.progress["metrics"]
    assert shown["macro_f1"] == pytest.approx(fit["best_macro_f1"], abs=0.05)
    assert 0 <= shown["accuracy"] <= 1
    assert shown["loss"] > 0
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
    engine: Engine,
    store: Store,
    base: VersionRow,
    attempt: Callable[..., TrainingRun],
    tmp_path: Path,
) -> None:
    load_files(engine, "blog", [write_sentences(tmp_path / "crawl.jsonl", range(0, 3_000, 3))])
    swapped = write_labelled(tmp_path / "swapped.jsonl", range(ROWS), SWAPPED)
    run = attempt(data=[str(swapped)], learning_rate=1e-2, epochs=3.0)
    assert (run.state, run.exit_code) == ("blocked", 1)
    assert run.verdict is not None
    assert run.reason == "; ".join(run.verdict["reasons"])
    assert "1,000 stored documents" in run.reason or "PSI" in run.reason
    assert run.version is not None
    assert active_name(engine) == "base"
    with transaction(engine) as connection:
        version = versions.find_version(connection, run.version)
    assert version is not None
    assert version.blocked
    page = (store.fetch(run.version) / "report.html").read_text(encoding="utf-8")
    assert len(run.verdict["reasons_ko"]) == len(run.verdict["reasons"])
    for reason in run.verdict["reasons_ko"]:
        assert escape(reason) in page


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


def test_a_head_that_was_never_trained_is_blocked(
    base: VersionRow,
    attempt: Callable[..., TrainingRun],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A discriminator has no head of ours, and the fit gives back what it was given."""

    def train_nothing(model: Any, *_given: object, **_named: object) -> FitResult:
        return FitResult(model, 1, 1.0, 0.3, 1, 1.0, [])

    monkeypatch.setattr(candidate, "train_with_early_stopping", train_nothing)
    torch.manual_seed(0)
    tokenizer = make_vocabulary([*TEXTS, *map(sentence, range(ROWS))])
    model = make_discriminator(tokenizer, PADDING_LENGTH, Shape(1, 32, 2))
    save_base(model, tokenizer, tmp_path / "discriminator", {})
    run = attempt(base=str(tmp_path / "discriminator"))
    assert (run.state, run.exit_code) == ("blocked", 1)
    assert run.reason is not None
    assert "classification head was newly initialised" in run.reason


def test_a_candidate_without_numbers_has_a_page_beside_it_that_says_so(
    engine: Engine,
    store: Store,
    base: VersionRow,
    settings: Settings,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really = candidate.publish

    def publish_astray(model: Any, *given: Any, **named: Any) -> Any:
        with torch.no_grad():
            model.classifier.out_proj.bias.fill_(torch.nan)
        return really(model, *given, **named)

    monkeypatch.setattr(candidate, "publish", publish_astray)
    run = attempt()
    assert (run.state, run.exit_code, run.version) == ("blocked", 1, None)
    assert run.reason is not None
    assert "its answers are no numbers" in run.reason
    assert run.verdict is not None
    directory = settings.training_home / f"run-{run.id}"
    page = (directory / "report.html").read_text(encoding="utf-8")
    for reason in run.verdict["reasons_ko"]:
        assert escape(reason) in page
    assert "버전으로 저장하지 않았으므로" in page
    assert "시험 데이터로 잰 성능이 없습니다" in page
    assert "nifos models activate" not in page
    assert store.names() == ["base"]
    services = cast(Services, SimpleNamespace(store=store, settings=settings))
    assert run_as_json(services, run)["report"] == str(directory / "report.html")
    TrainingService(engine, settings).sweep()
    assert (directory / "calibrated" / "model.safetensors").exists(), "for a week"


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
            activate(engine, store, other, "other")
        return found

    monkeypatch.setattr(retrain, "judge_candidate", judge_while_another_is_activated)
    run = attempt()
    assert compared == ["base", "other"]
    assert run.state == "published", run.reason
    assert sorted(store.names()) == sorted(["base", "other", str(run.version)])


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


def test_what_was_held_out_of_a_small_class_is_held_out_once_it_has_grown(
    base: VersionRow, attempt: Callable[..., TrainingRun], settings: Settings, tmp_path: Path
) -> None:
    """By its record alone: no hash of the small class falls on a side, of the grown one some do."""
    held_out_from = int((TEST_SHARE + VALIDATION_SHARE) * 2**64)
    neutral = range(1, ROWS, 3)
    by_hash = {n: int(text_hash(sentence(n)), 16) < held_out_from for n in neutral}
    few = [n for n in neutral if not by_hash[n]][:6]
    others = [n for n in range(ROWS) if n not in neutral]
    rare = write_labelled(tmp_path / "rare.jsonl", [*others, *few])
    first = attempt(data=[str(rare)])
    pinned = first.progress["pinned"]
    assert sorted(pinned.values()) == ["test", "validation"]
    assert set(pinned) <= {text_hash(sentence(n)) for n in few}

    second = attempt(data=[str(write_labelled(tmp_path / "grown.jsonl", range(ROWS)))])
    assert second.progress["data"]["texts"] == ROWS
    rows = load_data(settings.training_home / f"run-{second.id}")
    assert rows is not None
    sides = {text_hash(text): side for side in SIDES for text in rows.texts(side)}
    assert {key: sides[key] for key in pinned} == pinned
    assert second.progress["pinned"] == pinned, "and no other was needed"


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
    run = try_again(engine)
    assert (run.state, run.tries) == ("queued", 1)
    assert run.reason is not None
    assert f"{data} is not on this machine" in run.reason
    kept.rename(data)
    run = try_again(engine)
    assert run.state == "published", run.reason


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
            run = try_again(engine)
        assert (run.state, run.tries) == ("queued", 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    run = try_again(engine)
    assert run.state == "published", run.reason


def _due_in_s(engine: Engine) -> float:
    with transaction(engine) as connection:
        due = connection.scalar(
            text("select extract(epoch from next_try_at - now()) from training_run")
        )
    return float(due or 0)


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
    run = try_again(engine)
    assert run.state == "published", run.reason
    assert run.progress["fit"] == first.progress["fit"]
