"""The starter's own command, in small: from labelled rows to a version that labels."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from core.errors import StoreError
from sentiment.classifier import Classifier
from sentiment.labels import LABELS
from sentiment.store import shipped_version, verify
from trainer import starter, starter_lessons
from trainer.base import Base
from trainer.corpus import read_corpus
from trainer.fit import FitResult
from trainer.grades import labels_as_grades
from trainer.new_model import NewModel
from trainer.retrain_data import RetrainData
from trainer.split import dataset_split
from trainer.starter_fits import Lesson
from trainer.starter_lessons import StarterSettings, base_of, learn

Targets = NDArray[np.float32]

WORDS = {"negative": "지루했다", "neutral": "그냥 그랬다", "positive": "정말 재미있었다"}


def _write(path: Path, rows: int, first: int = 0) -> Path:
    labels = [list(WORDS)[n % 3] for n in range(rows)]
    texts = [f"{n + first}번째 이 영화는 {WORDS[label]} {n % 7}" for n, label in enumerate(labels)]
    stars = [1 + 4 * (n % 3) + n % 2 for n in range(rows)]
    pd.DataFrame({"text": texts, "label": labels, "rating": stars}).to_parquet(path)
    return path


def _never(*_: object) -> None:
    raise AssertionError


def _break_off(*_: object) -> None:
    raise StoreError("the disk is full")


@pytest.mark.slow
def test_one_command_makes_a_version_with_its_card_and_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter, "MODEL", NewModel(1, 64, 32, 500))
    data = _write(tmp_path / "train.parquet", 1_500)
    _write(tmp_path / "test.parquet", 90, first=2_000)
    output = tmp_path / "made"
    arguments = ["--data", str(data), "--output", str(output), "--epochs", "12"]
    arguments += ["--learning-rate", "0.002", "--fourth-vocabulary", "560"]
    # Broken off between its lessons, it goes on with the second.
    with monkeypatch.context() as broken:
        broken.setattr(starter_lessons, "teach_further", _break_off)
        assert starter.main(arguments) == StoreError.exit_code
    assert not output.exists()
    monkeypatch.setattr(starter_lessons, "teach", _never)
    assert starter.main(arguments) == 0
    manifest = verify(output)
    assert set(manifest.files) == {
        "README.md",
        "config.json",
        "model.safetensors",
        "report.html",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert manifest.metrics["rows"] == 90
    assert manifest.metrics["accuracy"] > 0.5
    assert manifest.training["temperature"] == round(manifest.temperature, 3)
    # What the version on disk says of the test rows is what its card tells.
    held_out = pd.read_parquet(tmp_path / "test.parquet")
    said = Classifier.load(output, device="cpu").predict(held_out["text"].tolist()).label_ids
    truth = held_out["label"].map({label.name: label.id for label in LABELS}).to_numpy()
    assert round(float((said == truth).mean()), 4) == manifest.metrics["accuracy"]
    card = (output / "README.md").read_text(encoding="utf-8")
    assert str(manifest.metrics["macro_f1"]) in card
    assert "{" not in card
    assert [path.name for path in tmp_path.iterdir() if "work" in path.name] == []


def test_each_lesson_begins_where_the_one_before_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter, "MODEL", NewModel(1, 64, 32, 100))
    corpus = read_corpus(
        [_write(tmp_path / "train.parquet", 600)], text_column="text", label_column="label"
    )
    rows = RetrainData(corpus, dataset_split(corpus, validation=0.1, test=0.0), 0)
    texts = len(rows.texts("train"))
    settings = StarterSettings(fourth_vocabulary=120)
    starter._make_base(rows, tmp_path, settings)
    began: list[float] = []
    rates: list[float] = []
    words: list[int] = []

    def fit(lesson: Lesson, *given: Any) -> tuple[FitResult, Base]:
        targets: Targets = given[1]
        assert len(targets) == texts
        base = lesson.new_base()
        bias = base.model.classifier.out_proj.bias
        began.append(round(float(bias[0].detach()), 2))
        rates.append(lesson.learning_rate)
        words.append(base.tokenizer.get_vocab_size())
        with torch.no_grad():
            bias.add_(1.0)
        return FitResult(base.model, 1, 1.0, 0.5, 1, 1.0, []), base

    said = np.full((texts, 3), 1 / 3, np.float32)
    monkeypatch.setattr(starter_lessons, "fit_rows", fit)
    monkeypatch.setattr(starter_lessons, "teach", lambda *_: said)
    monkeypatch.setattr(starter_lessons, "teach_further", lambda *_: said)
    new_base = partial(base_of, tmp_path / "base", tmp_path, settings)
    lesson = Lesson(rows, new_base, tmp_path, settings.learning_rate, 0, lambda _: None)
    grades = labels_as_grades(rows.label_ids("train"))
    result, _ = learn(lesson, grades, settings)
    # The fourth begins halfway between the second's end and the third's.
    assert began == [0.0, 1.0, 2.0, 2.5]
    assert float(result.model.classifier.out_proj.bias[0].detach()) == pytest.approx(3.5, abs=0.01)
    rate = settings.learning_rate
    assert rates == [rate, rate, settings.third_learning_rate, rate]
    assert words == [100, 100, 100, 120]
    # Broken off there, no lesson is learnt again but the fourth, by the words that it had.
    monkeypatch.setattr(starter_lessons, "train_vocabulary", _never)
    learn(lesson, grades, settings)
    assert began[4:] == [2.5]
    # Without the fourth, or with the first alone, that one's end it is.
    ends = []
    for place, lessons in enumerate((3, 1)):
        work = tmp_path / f"other-{place}"
        fewer = replace(settings, fourth_epochs=0)
        if lessons == 1:
            fewer = replace(fewer, second_epochs=0, third_epochs=0)
        began.clear()
        result, _ = learn(replace(lesson, work=work), grades, fewer)
        assert len(began) == lessons
        ends.append(float(result.model.classifier.out_proj.bias[0].detach()))
    assert ends == pytest.approx([2.5, 1.0], abs=0.01)


def test_a_text_without_a_grade_is_told_before_anything_is_fitted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = _write(tmp_path / "train.parquet", 1_500)
    rows = pd.read_parquet(data)
    rows.loc[rows.index % 7 == 0, "rating"] = None
    rows.to_parquet(data)
    _write(tmp_path / "test.parquet", 90, first=2_000)
    assert starter.main(["--data", str(data), "--output", str(tmp_path / "made")]) == 2
    assert "texts have nothing in column 'rating'" in capfd.readouterr().err
    assert not list(tmp_path.glob(".made*"))


def test_what_cannot_be_made_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = _write(tmp_path / "reviews.parquet", 30)
    wrong = [
        (["--data", str(data), "--output", str(tmp_path)], "exists already"),
        (["--data", str(data), "--output", str(tmp_path / "new")], "name other rows by --test"),
        (["--data", "no-train.parquet", "--output", str(tmp_path / "new")], "no such file"),
        (["--data", "none.parquet", "--output", str(tmp_path / "new")], "no such file"),
        (
            ["--data", str(data), "--output", str(tmp_path / "new"), "--second-epochs", "0"],
            "give --third-epochs 0 too",
        ),
        (
            ["--data", str(data), "--output", str(tmp_path / "new"), "--third-epochs", "0"],
            "give --fourth-epochs 0 too",
        ),
    ]
    for arguments, words in wrong:
        assert starter.main(arguments) == 2
        assert words in capfd.readouterr().err


def test_what_ships_is_what_this_command_makes_and_its_card_says_so() -> None:
    directory = shipped_version()
    manifest = verify(directory)
    size = sum(path.stat().st_size for path in directory.iterdir())
    assert size <= 16_000_000
    settings = dict(manifest.training["settings"])
    assert len(settings.pop("bias")) == len(LABELS)
    assert settings == asdict(starter.MODEL) | asdict(StarterSettings())
    card = (directory / "README.md").read_text(encoding="utf-8")
    assert "{" not in card
    shown = ("accuracy", "macro_f1", "two_class_balanced_accuracy", "calibration_error")
    assert [name for name in shown if str(manifest.metrics[name]) not in card] == []
