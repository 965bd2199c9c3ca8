"""The temperature: how much less sure of itself a fitted model should say it is. Pure.

Guo et al. 2017, "On Calibration of Modern Neural Networks": one number, fitted on validation rows,
by which logits are divided. It changes no label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentiment.metrics import CALIBRATION_BINS, Ids, Probabilities, calibration_bin

LOWEST, HIGHEST = 0.1, 10.0
# What is believed before any row is seen: log T within half a unit of 0, two times in three. It
# weighs as much as a few rows do, so that thirty rows that are all right do not make a model that
# is always sure; of a thousand rows on, it moves T by less than a hundredth.
PRIOR_SPREAD = 0.5
SMALLEST_PROBABILITY = 1e-30
COARSE_STEPS = 47  # of log T, a tenth each
FINE_STEPS = 30  # each takes 0.62 of what is left: T to seven digits
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class ReliabilityBins:
    """Columns for a reliability diagram, a row for each of `CALIBRATION_BINS` equal bins.

    confidence, accuracy: float64 [bins], means of the bin's rows, NaN where it has none. count:
    int64 [bins].
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]


def fit_temperature(truth: Ids, probabilities: Probabilities) -> float:
    """The temperature that makes validation rows likeliest, within `LOWEST` and `HIGHEST`.

    Deterministic. Without rows it is 1.

    Args:
        truth: int64 [rows].
        probabilities: float64 [rows, 3] at temperature 1. Their logarithms are the logits, up to a
            constant that softmax drops.
    """
    if not len(truth):
        return 1.0
    logits = _logits(probabilities)
    right = logits[np.arange(len(truth)), truth]

    def cost(log_temperature: float) -> float:
        scaled = logits * np.exp(-log_temperature)
        surprise = np.log(np.exp(scaled).sum(axis=1)) - right * np.exp(-log_temperature)
        return float(surprise.sum() + 0.5 * (log_temperature / PRIOR_SPREAD) ** 2)

    grid = np.linspace(np.log(LOWEST), np.log(HIGHEST), COARSE_STEPS)
    best = int(np.argmin([cost(value) for value in grid]))
    low, high = grid[max(0, best - 1)], grid[min(COARSE_STEPS - 1, best + 1)]
    return float(np.exp(_least(cost, low, high)))


def apply_temperature(probabilities: Probabilities, temperature: float) -> Probabilities:
    """What the probabilities at temperature 1 become at another: float64 [rows, 3]."""
    scaled = np.exp(_logits(probabilities) / temperature)
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True), np.float64)


def reliability_bins(truth: Ids, probabilities: Probabilities) -> ReliabilityBins:
    """How sure the model is, and how often it is right, by confidence.

    The bins are those of `sentiment.metrics.calibration_error`: the mean gap between the two,
    weighted by count, is that error.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = calibration_bin(confidence)
    count = np.bincount(bins, minlength=CALIBRATION_BINS)
    with np.errstate(invalid="ignore"):  # 0 / 0: an empty bin has no mean
        return ReliabilityBins(
            np.bincount(bins, confidence, CALIBRATION_BINS) / count,
            np.bincount(bins, right, CALIBRATION_BINS) / count,
            count,
        )


def _logits(probabilities: Probabilities) -> NDArray[np.float64]:
    """Logits whose largest is 0 in every row, so that no exponential overflows."""
    logits = np.log(np.maximum(np.asarray(probabilities, np.float64), SMALLEST_PROBABILITY))
    return np.asarray(logits - logits.max(axis=1, keepdims=True), np.float64)


def _least(cost: Callable[[float], float], low: float, high: float) -> float:
    """Golden-section search for where a function is least, between two places around it."""
    inner, outer = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_inner, at_outer = cost(inner), cost(outer)
    for _ in range(FINE_STEPS):
        if at_inner <= at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - GOLDEN * (high - low)
            at_inner = cost(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + GOLDEN * (high - low)
            at_outer = cost(outer)
    return (low + high) / 2
