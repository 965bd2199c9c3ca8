"""A real fit of a tiny Electra on texts whose words decide their label."""

from __future__ import annotations

import dataclasses
import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import InputError, ModelError
from sentiment import metrics
from sentiment.classifier import Classifier
from tests.small_fit import PADDING_LENGTH, SETTINGS, Parts, make_parts
from trainer.fit import FitProgress, FitResult, FitSettings, train_with_early_stopping
from trainer.publish import publish

ROOT = Path(__file__).parents[2]


class Stop(Exception):
    """What a listener raises to end a fit."""


def _fit(
    output: Path,
    settings: FitSettings = SETTINGS,
    on_progress: Callable[[FitProgress], None] | None = None,
    parts: Parts | None = None,
) -> FitResult:
    parts = parts or make_parts()
    return train_with_early_stopping(
        parts.model,
        parts.train,
        parts.validation,
        settings,
        output,
        device="cpu",
        on_progress=on_progress,
    )


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    # So small a model is slower with more, and waits for them where other tests run.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    return _fit(tmp_path_factory.mktemp("fit"))


def _evaluations(result: FitResult) -> list[dict[str, float]]:
    return [record for record in result.history if "eval_macro_f1" in record]


def test_it_learns_and_remembers_how(fitted: FitResult) -> None:
    assert fitted.best_macro_f1 > 0.95
    evaluations = _evaluations(fitted)
    assert [record["epoch"] for record in evaluations] == [1, 2, 3, 4, 5]
    best = max(evaluations, key=lambda record: record["eval_macro_f1"])
    assert best["eval_macro_f1"] == fitted.best_macro_f1
    assert (best["step"], best["epoch"]) == (fitted.best_step, fitted.best_epoch)
    assert (fitted.stopped_epoch, fitted.resumed) == (5, 0)
    training = [record for record in fitted.history if "loss" in record]
    assert len(training) >= 10 * len(evaluations)
    assert all({"step", "epoch", "accuracy", "learning_rate"} <= set(row) for row in training)
    assert training[0]["accuracy"] < 0.7
    assert 0.9 < training[-1]["accuracy"] <= 1
    assert training[-1]["loss"] < training[0]["loss"]


def test_what_is_published_serves_what_was_trained(fitted: FitResult, tmp_path: Path) -> None:
    parts = make_parts()
    publish(
        fitted.model,
        parts.tokenizer,
        tmp_path / "v1",
        padding_length=PADDING_LENGTH,
        metrics={},
        training={},
    )
    texts = parts.corpus.texts
    predictions = Classifier.load(tmp_path / "v1", device="cpu").predict(texts)
    counts = metrics.confusion(parts.corpus.label_ids, predictions.label_ids.astype(np.int64))
    assert metrics.macro_f1(counts) > 0.95


class Saboteur:
    """Ruins the model in each epoch after the second, and keeps the weights of the best one."""

    def __init__(self, parts: Parts) -> None:
        self._model = parts.model
        self._evaluated = 0.0
        self.best: dict[str, torch.Tensor] = {}

    def __call__(self, progress: FitProgress) -> None:
        if progress.epoch == 2 and "macro_f1" in progress.metrics:
            state = self._model.state_dict()
            self.best = {name: value.clone() for name, value in state.items()}
        elif progress.epoch > 2:
            with torch.no_grad():
                self._model.classifier.out_proj.bias.copy_(torch.tensor([50.0, 0.0, 0.0]))


def test_it_stops_early_with_the_best_weights_and_not_the_last(tmp_path: Path) -> None:
    parts = make_parts()
    saboteur = Saboteur(parts)
    settings = dataclasses.replace(SETTINGS, learning_rate=2e-3, epochs=20, patience=3)
    result = _fit(tmp_path, settings, saboteur, parts)
    assert (result.best_epoch, result.stopped_epoch) == (2, 5)
    last = _evaluations(result)[-1]["eval_macro_f1"]
    assert last < 0.2
    assert result.best_macro_f1 > 0.5
    for name, value in result.model.state_dict().items():
        assert torch.equal(value, saboteur.best[name]), name


def test_by_loss_the_weights_of_the_lowest_are_restored_and_found_again(tmp_path: Path) -> None:
    parts = make_parts()
    kept: dict[int, dict[str, torch.Tensor]] = {}

    def keep(progress: FitProgress) -> None:
        if "macro_f1" in progress.metrics:
            state = parts.model.state_dict()
            kept[progress.step] = {name: value.clone() for name, value in state.items()}

    settings = dataclasses.replace(SETTINGS, epochs=8, patience=8, best_by="loss")
    result = _fit(tmp_path, settings, keep, parts)
    evaluations = _evaluations(result)
    best = min(evaluations, key=lambda record: record["eval_loss"])
    assert (result.best_step, result.best_macro_f1) == (best["step"], best["eval_macro_f1"])
    # It tells all labels right before it is as sure as it gets.
    first = max(evaluations, key=lambda record: record["eval_macro_f1"])
    assert first["step"] < best["step"]
    again = _fit(tmp_path, settings)
    assert (again.best_step, again.best_macro_f1) == (result.best_step, result.best_macro_f1)
    for fit in (result, again):
        for name, value in fit.model.state_dict().items():
            assert torch.equal(value, kept[result.best_step][name]), name


def test_the_learning_rate_falls_before_it_stops(tmp_path: Path) -> None:
    parts = make_parts()
    settings = dataclasses.replace(SETTINGS, learning_rate=2e-3, epochs=20, patience=3)
    result = _fit(tmp_path, settings, Saboteur(parts), parts)
    rates = {
        record["epoch"]: record["learning_rate"] for record in result.history if "loss" in record
    }
    assert rates[4.0] == pytest.approx(2e-3)  # one evaluation without a gain is forgiven
    assert rates[5.0] == pytest.approx(1e-3)


def test_the_same_seed_gives_the_same_fit_and_another_one_does_not(
    fitted: FitResult, tmp_path: Path
) -> None:
    assert _fit(tmp_path / "a").history == fitted.history
    other = _fit(tmp_path / "b", dataclasses.replace(SETTINGS, seed=1))
    assert other.history != fitted.history


@pytest.mark.parametrize("epoch", [2.5, 3.0])
def test_a_fit_that_was_stopped_goes_on_as_if_it_had_not(
    fitted: FitResult, tmp_path: Path, epoch: float
) -> None:
    def stop(progress: FitProgress) -> None:
        if progress.epoch >= epoch:
            raise Stop

    with pytest.raises(Stop):
        _fit(tmp_path, on_progress=stop)
    result = _fit(tmp_path)
    assert result.resumed == 1
    assert result.history == fitted.history
    assert (result.best_step, result.best_macro_f1) == (fitted.best_step, fitted.best_macro_f1)
    for name, value in result.model.state_dict().items():
        assert torch.equal(value, fitted.model.state_dict()[name]), name


def test_a_fit_goes_on_in_the_middle_of_an_epoch(
    fitted: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.flow.CHECKPOINT_EVERY_S", 0.0)  # at every step

    def stop(progress: FitProgress) -> None:
        if progress.epoch >= 2.4:
            raise Stop

    with pytest.raises(Stop):
        _fit(tmp_path, on_progress=stop)
    result = _fit(tmp_path)
    evaluations = [record["eval_macro_f1"] for record in _evaluations(result)]
    assert evaluations == [record["eval_macro_f1"] for record in _evaluations(fitted)]
    for name, value in result.model.state_dict().items():
        assert torch.equal(value, fitted.model.state_dict()[name]), name


def test_patience_is_not_forgotten(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, learning_rate=2e-3, epochs=20, patience=3)
    whole_parts = make_parts()
    whole = _fit(tmp_path / "whole", settings, Saboteur(whole_parts), whole_parts)
    parts = make_parts()
    saboteur = Saboteur(parts)

    def stop(progress: FitProgress) -> None:
        saboteur(progress)
        if progress.epoch > 4:  # two evaluations without a gain are behind it
            raise Stop

    with pytest.raises(Stop):
        _fit(tmp_path / "halves", settings, stop, parts)
    parts = make_parts()
    result = _fit(tmp_path / "halves", settings, Saboteur(parts), parts)
    assert result.stopped_epoch == whole.stopped_epoch == 5
    assert result.history == whole.history


def test_a_fit_that_has_ended_is_not_begun_again(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=2)
    first = _fit(tmp_path, settings)
    told: list[FitProgress] = []
    second = _fit(tmp_path, settings, told.append)
    assert not told
    assert second.history == first.history
    for name, value in second.model.state_dict().items():
        assert torch.equal(value, first.model.state_dict()[name]), name


def test_another_fit_does_not_take_the_checkpoint(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=1)
    _fit(tmp_path, settings)
    other = _fit(tmp_path, dataclasses.replace(settings, learning_rate=5e-4))
    assert other.resumed == 0
    assert other.history[0]["learning_rate"] == 5e-4
    fewer = make_parts(300)
    assert _fit(tmp_path, settings, parts=fewer).resumed == 0
    assert len(list(tmp_path.glob("fit-*"))) == 3


def test_nothing_is_written_to_the_standard_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _fit(tmp_path, dataclasses.replace(SETTINGS, epochs=1))
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_fit_killed_in_the_third_epoch_ends_as_an_undisturbed_one(
    fitted: FitResult, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.small_fit", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["epoch"] > 2:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    first, *_, last = map(json.loads, done.stdout.splitlines())
    assert first["epoch"] > 2  # it does not begin anew
    assert last["resumed"] == 1
    assert len(last["history"]) == len(fitted.history)
    assert last["best_macro_f1"] == pytest.approx(fitted.best_macro_f1, abs=0.01)


def test_progress_is_told_as_it_comes(tmp_path: Path) -> None:
    told: list[FitProgress] = []
    _fit(tmp_path, dataclasses.replace(SETTINGS, epochs=2), told.append)
    assert [progress.step for progress in told] == sorted(progress.step for progress in told)
    assert {"loss", "accuracy", "learning_rate"} <= set(told[0].metrics)
    assert "macro_f1" not in told[0].metrics
    last = told[-1]
    assert last.step == last.steps
    assert (last.epoch, last.epochs) == (2, 2)
    assert {"eval_loss", "eval_accuracy", "macro_f1"} <= set(last.metrics)
    assert all(math.isfinite(value) for value in last.metrics.values())


def test_evaluations_stand_at_equal_distances_with_the_end_among_them(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=2, evaluations_per_epoch=4, patience=9)
    result = _fit(tmp_path, settings)
    epochs = [record["epoch"] for record in _evaluations(result)]
    assert len(epochs) == 8
    assert epochs == pytest.approx([n / 4 for n in range(1, 9)], abs=0.07)
    assert (epochs[3], epochs[7]) == (1, 2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"epochs": 0}, "epochs 0"),
        ({"learning_rate": -1e-5}, "learning rate -1e-05"),
        ({"learning_rate": math.nan}, "learning rate nan"),
        ({"label_smoothing": 1.0}, "label smoothing 1.0"),
        ({"batch_rows": 0}, "batch rows 0"),
    ],
)
def test_settings_that_make_no_sense_are_named(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        FitSettings(**wrong)  # type: ignore[arg-type]


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    parts = make_parts()
    with pytest.raises(ModelError, match="no such GPU"):
        train_with_early_stopping(
            parts.model, parts.train, parts.validation, SETTINGS, tmp_path, device="A4000"
        )
