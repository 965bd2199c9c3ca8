"""Measures of a classifier, from label ids and probabilities. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sentiment.labels import LABELS, NEGATIVE, POSITIVE

Ids = NDArray[np.int64]
Probabilities = NDArray[np.float64]

CALIBRATION_BINS = 15
PSI_FLOOR = 1e-4  # a share of nothing would make the index infinite


def confusion(truth: Ids, predicted: Ids) -> NDArray[np.int64]:
    """Count pairs: int64 [truth, predicted]."""
    n = len(LABELS)
    return np.bincount(truth * n + predicted, minlength=n * n).reshape(n, n)


def accuracy(counts: NDArray[np.int64]) -> float:
    """Share of the right ones, from a confusion matrix."""
    return float(np.trace(counts) / max(1, counts.sum()))


def recall_per_class(counts: NDArray[np.int64]) -> list[float]:
    """Of each class, how much is found. 0 for a class that does not occur."""
    return [float(value) for value in np.diag(counts) / np.maximum(1, counts.sum(axis=1))]


def precision_per_class(counts: NDArray[np.int64]) -> list[float]:
    """Of each class, how much of what is called so is so."""
    return [float(value) for value in np.diag(counts) / np.maximum(1, counts.sum(axis=0))]


def f1_per_class(counts: NDArray[np.int64]) -> list[float]:
    """Of each class, the harmonic mean of precision and recall. 0 for one that is never said."""
    totals = counts.sum(axis=1) + counts.sum(axis=0)
    return [float(value) for value in 2 * np.diag(counts) / np.maximum(1, totals)]


def macro_f1(counts: NDArray[np.int64]) -> float:
    """Mean of the classes' F1: a class that is never said counts as 0, however rare it is."""
    return float(np.mean(f1_per_class(counts)))


def two_class_balanced_accuracy(truth: Ids, probabilities: Probabilities) -> float:
    """Negative against positive: neutral rows left out, the larger of the other two says which.

    Args:
        truth: int64 [rows].
        probabilities: float64 [rows, 3].

    Returns:
        The mean recall of the classes that occur; 0 where only neutral does.
    """
    says_positive = probabilities[:, POSITIVE.id] > probabilities[:, NEGATIVE.id]
    sides = ((NEGATIVE.id, ~says_positive), (POSITIVE.id, says_positive))
    recalls = [float(said[truth == label].mean()) for label, said in sides if label in truth]
    return sum(recalls) / max(1, len(recalls))


def calibration_bin(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which of `CALIBRATION_BINS` equal bins a label's probability falls in: int64 [rows]."""
    return np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def calibration_error(truth: Ids, probabilities: Probabilities) -> float:
    """Expected calibration error of the label's probability, in `CALIBRATION_BINS` equal bins."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = calibration_bin(confidence)
    gaps = 0.0
    for place in range(CALIBRATION_BINS):
        inside = bins == place
        if inside.any():
            gaps += inside.sum() * abs(right[inside].mean() - confidence[inside].mean())
    return float(gaps / max(1, len(truth)))


def stability_index(before: NDArray[np.int64], after: NDArray[np.int64]) -> float:
    """Population stability index of two label distributions, from counts per class."""
    old = np.maximum(before / max(1, before.sum()), PSI_FLOOR)
    new = np.maximum(after / max(1, after.sum()), PSI_FLOOR)
    return float(np.sum((new - old) * np.log(new / old)))


def flips(before: Ids, after: Ids) -> float:
    """Share of rows whose label differs between two versions."""
    return float(np.mean(before != after)) if len(before) else 0.0


def summarize(truth: Ids, probabilities: Probabilities) -> dict[str, object]:
    """Everything that a manifest keeps of one evaluation."""
    counts = confusion(truth, probabilities.argmax(axis=1))
    names = [label.name for label in LABELS]
    return {
        "rows": len(truth),
        "accuracy": round(accuracy(counts), 4),
        "macro_f1": round(macro_f1(counts), 4),
        "recall": dict(zip(names, (round(v, 4) for v in recall_per_class(counts)), strict=True)),
        "precision": dict(
            zip(names, (round(v, 4) for v in precision_per_class(counts)), strict=True)
        ),
        "two_class_balanced_accuracy": round(two_class_balanced_accuracy(truth, probabilities), 4),
        "calibration_error": round(calibration_error(truth, probabilities), 4),
        "confusion": counts.tolist(),
    }
