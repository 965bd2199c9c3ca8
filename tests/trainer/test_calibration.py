from __future__ import annotations

import numpy as np
import pytest

from sentiment.metrics import CALIBRATION_BINS, calibration_error
from trainer.calibration import (
    HIGHEST,
    LOWEST,
    apply_temperature,
    fit_temperature,
    reliability_bins,
)


def _rows(count: int, sharpened: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from probabilities, and the same probabilities `sharpened`."""
    random = np.random.default_rng(seed)
    true = random.dirichlet((1, 0.4, 1.2), count)
    truth = (random.random(count)[:, None] > true.cumsum(axis=1)).sum(axis=1)
    return truth.astype(np.int64), apply_temperature(true, 1 / sharpened)


@pytest.mark.parametrize("sharpened", [0.5, 1.0, 1.7, 3.0])
def test_it_finds_how_much_too_sure_a_model_is(sharpened: float) -> None:
    truth, said = _rows(20_000, sharpened)
    temperature = fit_temperature(truth, said)
    assert temperature == pytest.approx(sharpened, rel=0.03)
    held_out, said_there = _rows(20_000, sharpened, seed=1)
    after = calibration_error(held_out, apply_temperature(said_there, temperature))
    assert after < 0.012
    if sharpened != 1.0:
        assert after < calibration_error(held_out, said_there) / 4


def test_no_other_temperature_makes_the_rows_likelier() -> None:
    truth, said = _rows(5_000, 2.0)

    def surprise(temperature: float) -> float:
        fitted = apply_temperature(said, temperature)
        return float(-np.log(fitted[np.arange(len(truth)), truth]).mean())

    found = fit_temperature(truth, said)
    assert all(surprise(found) <= surprise(found * step) for step in (0.9, 0.97, 1.03, 1.1))


def test_it_changes_no_label_and_nothing_at_one() -> None:
    _, said = _rows(500, 2.0)
    assert (apply_temperature(said, 3.0).argmax(axis=1) == said.argmax(axis=1)).all()
    assert apply_temperature(said, 1.0) == pytest.approx(said)


def test_rows_that_are_all_right_do_not_make_it_always_sure() -> None:
    said = np.tile([0.7, 0.2, 0.1], (30, 1))
    few = fit_temperature(np.zeros(30, np.int64), said)
    assert 0.3 < few < 1
    many = fit_temperature(np.zeros(30_000, np.int64), np.tile(said, (1_000, 1)))
    assert LOWEST <= many < few


def test_rows_that_are_all_wrong_and_sure_stay_within_bounds() -> None:
    said = np.tile([1.0, 0.0, 0.0], (1_000, 1))  # float32 rounds to such rows
    assert fit_temperature(np.ones(1_000, np.int64), said) == pytest.approx(HIGHEST, rel=0.01)


def test_few_rows_hardly_move_it_and_none_not_at_all() -> None:
    assert fit_temperature(np.zeros(0, np.int64), np.zeros((0, 3))) == 1.0
    assert fit_temperature(np.array([2]), np.array([[0.6, 0.3, 0.1]])) == pytest.approx(1, abs=0.5)


def test_it_is_the_same_each_time_and_in_any_order() -> None:
    truth, said = _rows(3_000, 1.4)
    order = np.random.default_rng(2).permutation(len(truth))
    assert fit_temperature(truth, said) == fit_temperature(truth, said)
    assert fit_temperature(truth[order], said[order]) == pytest.approx(
        fit_temperature(truth, said), abs=1e-6
    )


def test_the_bins_of_the_diagram_are_those_of_the_error() -> None:
    truth, said = _rows(2_000, 1.6)
    bins = reliability_bins(truth, said)
    assert len(bins.count) == CALIBRATION_BINS
    assert bins.count.sum() == len(truth)
    assert np.isnan(bins.accuracy[bins.count == 0]).all()
    full = bins.count > 0
    gaps = np.abs(bins.accuracy - bins.confidence)[full] * bins.count[full]
    assert gaps.sum() / len(truth) == pytest.approx(calibration_error(truth, said))
