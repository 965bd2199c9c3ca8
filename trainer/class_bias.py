"""How much more readily a fitted model should say each class. Pure.

Logit adjustment (Menon et al. 2021, "Long-tail learning via logit adjustment"), with the amounts
found on validation rows instead of taken from the classes' shares. Weights in the loss do the same
while a model learns, and cannot be tried without learning again; a bias can.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, no_grad
from transformers import ElectraForSequenceClassification

from sentiment.labels import LABELS
from sentiment.metrics import (
    Ids,
    Probabilities,
    confusion,
    macro_f1,
    two_class_balanced_accuracy,
)

STEPS = np.arange(-0.4, 0.61, 0.1)  # of a logit: e^0.1 is a tenth more readily
WITHIN = 0.004  # of macro-F1: its standard error on 13,000 rows, more on fewer


def fit_class_bias(truth: Ids, probabilities: Probabilities) -> NDArray[np.float64]:
    """The biases of the highest two-class balanced accuracy where macro-F1 is not really lower.

    That is, within `WITHIN` of the highest that any has (the one-standard-error rule of Breiman et
    al. 1984, "Classification and Regression Trees"): which of those has more is chance.

    Args:
        truth: int64 [rows].
        probabilities: float64 [rows, 3].

    Returns:
        float64 [3], to be added to the logits; the last is 0.
    """
    tried = [np.array([*others, 0.0]) for others in product(STEPS, repeat=len(LABELS) - 1)]
    scores = [_score(truth, probabilities * np.exp(bias)) for bias in tried]
    best = max(f1 for f1, _ in scores)
    good = [place for place, (f1, _) in enumerate(scores) if f1 >= best - WITHIN]
    return tried[max(good, key=lambda place: scores[place][1])]


def add_class_bias(model: ElectraForSequenceClassification, bias: NDArray[np.float64]) -> None:
    """Make it part of the model's head, in place."""
    head: Tensor = model.classifier.out_proj.bias
    with no_grad():
        head += head.new_tensor(bias)


def _score(truth: Ids, weighted: NDArray[np.float64]) -> tuple[float, float]:
    counts = confusion(truth, weighted.argmax(axis=1))
    return macro_f1(counts), two_class_balanced_accuracy(truth, weighted)
