"""A bias a class: found on rows, added to a head."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
from transformers import ElectraForSequenceClassification

from sentiment.classifier import Classifier
from sentiment.metrics import confusion, macro_f1, two_class_balanced_accuracy
from tests.tiny_version import TEXTS, build_tiny_version
from trainer.class_bias import STEPS, WITHIN, add_class_bias, fit_class_bias
from trainer.publish import publish

ROWS = 4_000


def test_a_class_that_is_said_too_seldom_is_said_more() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, ROWS)
    logits = random.normal(size=(ROWS, 3)) + 1.5 * np.eye(3)[truth]
    shy = np.exp(logits - np.array([0.0, 0.5, 0.0]))  # says neutral too seldom
    probabilities = shy / shy.sum(axis=1, keepdims=True)
    bias = fit_class_bias(truth, probabilities)
    assert 0.3 <= bias[1] <= 0.6
    assert abs(bias[0]) <= 0.2
    assert bias[2] == 0
    before, after = (
        macro_f1(confusion(truth, said.argmax(axis=1)))
        for said in (probabilities, probabilities * np.exp(bias))
    )
    assert after > before + 0.01


def test_of_those_as_good_by_macro_f1_it_takes_what_tells_negative_from_positive_best() -> None:
    random = np.random.default_rng(1)
    truth = random.choice(3, size=ROWS, p=[0.25, 0.3, 0.45])
    logits = random.normal(size=(ROWS, 3)) + 1.5 * np.eye(3)[truth] + np.log([0.25, 0.3, 0.45])
    said = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    tried = [said * np.exp([*pair, 0.0]) for pair in product(STEPS, STEPS)]
    f1 = [macro_f1(confusion(truth, weighted.argmax(axis=1))) for weighted in tried]
    two_class = [two_class_balanced_accuracy(truth, weighted) for weighted in tried]
    chosen = said * np.exp(fit_class_bias(truth, said))
    assert macro_f1(confusion(truth, chosen.argmax(axis=1))) >= max(f1) - WITHIN
    # A rare class is told better where it is said more readily than macro-F1 would have it.
    assert two_class_balanced_accuracy(truth, chosen) > two_class[int(np.argmax(f1))]


def test_the_head_says_what_was_fitted(tmp_path: Path) -> None:
    version = build_tiny_version(tmp_path / "v")
    before = Classifier.load(version, device="cpu", precision="fp32")
    model = ElectraForSequenceClassification.from_pretrained(str(version))
    bias = np.array([0.4, -0.3, 0.0])
    add_class_bias(model, bias)
    publish(
        model,
        before._tokenizer,
        tmp_path / "w",
        padding_length=32,
        metrics={},
        training={},
    )
    after = Classifier.load(tmp_path / "w", device="cpu", precision="fp32")
    said = before.predict(TEXTS).probabilities.astype(np.float64) * np.exp(bias)
    expected = said / said.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(after.predict(TEXTS).probabilities, expected, atol=2e-3)
