"""A bias a class: found on rows, added to a head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from transformers import ElectraForSequenceClassification

from sentiment.classifier import Classifier
from sentiment.metrics import confusion, macro_f1
from tests.tiny_version import TEXTS, build_tiny_version
from trainer.class_bias import add_class_bias, fit_class_bias
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
