"""From rows to a candidate: how a request is fitted, and what the padding length is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from core.settings import Settings
from db.training_runs import TrainingRun
from db.versions import VersionRow
from sentiment.store import Store, verify
from trainer import retrain
from trainer.candidate import Candidate, fit_settings
from trainer.class_weights import resolve_class_weights
from trainer.corpus import Corpus
from trainer.fit import FitSettings
from trainer.request import RetrainRequest
from trainer.retrain_data import RetrainData, load_data
from trainer.split import Split


def _data(train: list[int]) -> RetrainData:
    """Rows to train on with these labels, and one of each class on the other sides."""
    labels = np.array([*train, 0, 1, 2, 0, 1, 2], np.int64)
    places = np.arange(len(labels))
    n = len(train)
    corpus = Corpus([f"글 {place}" for place in places], labels, merged=0, ties=0)
    return RetrainData(corpus, Split(places[:n], places[n : n + 3], places[n + 3 :]), 0)


def test_a_request_is_fitted_as_it_is_asked() -> None:
    """6 negative, 1 neutral, 3 positive to learn from: 10 / (3 * 6), 10 / (3 * 1), 10 / (3 * 3)."""
    request = RetrainRequest(
        epochs=7,
        learning_rate=3e-5,
        class_weights="balanced",
        label_smoothing=0.1,
        batch_size=48,
        seed=11,
    )
    data = _data([0] * 6 + [1] + [2] * 3)
    assert fit_settings(request, data) == FitSettings(
        learning_rate=3e-5,
        epochs=7,
        batch_rows=48,
        class_weights=(0.555556, 3.333333, 1.111111),
        label_smoothing=0.1,
        seed=11,
    )


def test_what_is_not_asked_for_is_what_a_pre_trained_base_takes() -> None:
    settings = fit_settings(RetrainRequest(), _data([0, 1, 2]))
    assert settings == FitSettings()
    assert settings.patience == 3
    assert settings.class_weights is None


def test_a_class_that_is_not_there_weighs_as_if_it_had_one_row() -> None:
    weights = resolve_class_weights("balanced", np.array([0, 0, 2, 2], np.int64))
    assert weights == (0.666667, 1.333333, 0.666667)


def test_the_padding_length_covers_the_ratio_of_the_texts_to_learn_from(
    base: VersionRow,
    store: Store,
    settings: Settings,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Candidate] = []
    really = retrain.judge_candidate

    def see(candidate: Candidate, *given: Any) -> Any:
        seen.append(candidate)
        return really(candidate, *given)

    monkeypatch.setattr(retrain, "judge_candidate", see)
    run = attempt(padding_ratio=0.5)
    assert run.version is not None
    rows = load_data(settings.training_home / f"run-{run.id}")
    assert rows is not None
    version = store.fetch(run.version)
    tokenizer = Tokenizer.from_file(str(version / "tokenizer.json"))
    lengths = [
        len(tokenizer.encode(text, add_special_tokens=False).ids) + 2
        for text in rows.texts("train")
    ]
    (candidate,) = seen
    assert candidate.token_lengths.tolist() == lengths
    covering = sorted(lengths)[-(-len(lengths) // 2) - 1]
    assert verify(version).padding_length == covering
    assert covering < sorted(lengths)[int(0.95 * len(lengths))], "the ratio makes a difference"
    assert run.progress["padding_length"] == covering
