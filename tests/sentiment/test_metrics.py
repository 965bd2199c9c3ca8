from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score, recall_score

from sentiment import metrics

TRUTH = np.random.default_rng(0).integers(0, 3, 500)
PROBABILITIES = np.random.default_rng(1).dirichlet((1, 1, 1), 500)
PREDICTED = PROBABILITIES.argmax(axis=1)


def test_the_measures_are_those_of_the_field() -> None:
    counts = metrics.confusion(TRUTH, PREDICTED)
    assert metrics.accuracy(counts) == pytest.approx((TRUTH == PREDICTED).mean())
    assert metrics.macro_f1(counts) == pytest.approx(f1_score(TRUTH, PREDICTED, average="macro"))
    assert metrics.recall_per_class(counts) == pytest.approx(
        recall_score(TRUTH, PREDICTED, average=None)
    )
    assert metrics.precision_per_class(counts) == pytest.approx(
        precision_score(TRUTH, PREDICTED, average=None)
    )


def test_two_class_balanced_accuracy_leaves_neutral_out() -> None:
    kept = TRUTH != 1
    says_positive = PROBABILITIES[kept, 2] > PROBABILITIES[kept, 0]
    assert metrics.two_class_balanced_accuracy(TRUTH, PROBABILITIES) == pytest.approx(
        balanced_accuracy_score(TRUTH[kept] == 2, says_positive)
    )


def test_a_class_that_is_never_said_costs_a_third_of_macro_f1() -> None:
    truth = np.array([0] * 49 + [1] * 2 + [2] * 49)
    predicted = np.where(truth == 1, 2, truth)
    counts = metrics.confusion(truth, predicted)
    assert metrics.accuracy(counts) == 0.98
    assert metrics.macro_f1(counts) < 0.67


def test_calibration_error_is_the_gap_between_said_and_true() -> None:
    sure = np.tile([0.9, 0.05, 0.05], (100, 1))
    truth = np.array([0] * 60 + [1] * 40)
    assert metrics.calibration_error(truth, sure) == pytest.approx(0.3)


def test_stability_index_is_zero_for_the_same_shares_and_large_for_a_lost_class() -> None:
    before = np.array([300, 64, 636])
    assert metrics.stability_index(before, before * 7) == pytest.approx(0)
    assert metrics.stability_index(before, np.array([330, 1, 669])) > 0.2


def test_flips_are_the_share_of_changed_labels() -> None:
    assert metrics.flips(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 0])) == 0.25
    assert metrics.flips(np.array([]), np.array([])) == 0.0


def test_two_class_balanced_accuracy_of_one_class_is_its_recall() -> None:
    says = np.array([[0.8, 0.1, 0.1], [0.2, 0.1, 0.7]])
    assert metrics.two_class_balanced_accuracy(np.array([0, 0]), says) == pytest.approx(0.5)
    assert metrics.two_class_balanced_accuracy(np.array([1, 1]), says) == 0
