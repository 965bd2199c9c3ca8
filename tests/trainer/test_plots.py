from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go
import pytest

from sentiment.metrics import calibration_error
from tests.report_facts import FLIPS, calibration, history, sources
from trainer.evidence import SourceShift
from trainer.plots import plot_training_progress
from trainer.plots_quality import (
    plot_class_shares,
    plot_confusion,
    plot_flips,
    plot_reliability,
    reliability_bins,
)

CURVES = {
    "학습 손실": "loss",
    "학습 정확도": "accuracy",
    "검증 손실": "eval_loss",
    "검증 정확도": "eval_accuracy",
    "검증 macro-F1": "eval_macro_f1",
    "학습률": "learning_rate",
}


def _traces(figure: go.Figure) -> dict[str, go.Scatter]:
    return {trace.name: trace for trace in figure.data}


def _marks(figure: go.Figure) -> dict[str, float]:
    return {mark.text: mark.x for mark in figure.layout.annotations}


def _lines(figure: go.Figure) -> set[tuple[float, str]]:
    return {(line.x0, line.line.color) for line in figure.layout.shapes}


def test_every_curve_is_drawn_by_step_with_its_values() -> None:
    records = history()
    traces = _traces(plot_training_progress(records, best_step=150, stopped_step=200))
    assert set(traces) == set(CURVES)
    for name, key in CURVES.items():
        with_it = [record for record in records if key in record]
        assert list(traces[name].x) == [record["step"] for record in with_it], name
        assert list(traces[name].y) == [record[key] for record in with_it], name
        assert list(traces[name].customdata) == [record["epoch"] for record in with_it], name


def test_training_and_validation_of_one_measure_share_a_panel() -> None:
    traces = _traces(plot_training_progress(history(), best_step=150, stopped_step=200))
    panels = [
        {name for name, trace in traces.items() if (trace.yaxis or "y") == axis}
        for axis in ("y", "y2", "y3")
    ]
    assert panels == [
        {"학습 손실", "검증 손실"},
        {"학습 정확도", "검증 정확도", "검증 macro-F1"},
        {"학습률"},
    ]


def test_the_best_and_the_last_step_are_marked_and_named_in_every_panel() -> None:
    figure = plot_training_progress(history(), best_step=150, stopped_step=200)
    assert _marks(figure) == {"최고: 3에폭, 150단계": 150, "종료: 4에폭, 200단계": 200}
    steps = sorted(line.x0 for line in figure.layout.shapes)
    assert steps == [150, 150, 150, 200, 200, 200]
    assert len({colour for _, colour in _lines(figure)}) == 2
    heights = [mark.yshift for mark in figure.layout.annotations]
    assert abs(heights[0] - heights[1]) >= 16  # pixels: neither covers the other


def test_marks_hang_inside_the_picture() -> None:
    figure = plot_training_progress(history(), best_step=50, stopped_step=200)
    assert [mark.xanchor for mark in figure.layout.annotations] == ["left", "right"]


def test_one_evaluation_is_a_dot_with_one_mark() -> None:
    only = {"step": 4, "epoch": 1.0, "eval_loss": 0.9, "eval_accuracy": 0.6, "eval_macro_f1": 0.4}
    figure = plot_training_progress([only], best_step=4, stopped_step=4)
    traces = _traces(figure)
    assert set(traces) == {"검증 손실", "검증 정확도", "검증 macro-F1"}
    assert all(trace.mode == "lines+markers" for trace in traces.values())
    assert _marks(figure) == {"최고이자 종료: 1에폭, 4단계": 4}
    assert len(figure.layout.shapes) == 2  # a panel for the losses, one for the shares
    left, right = figure.layout.xaxis.range
    assert left < 0
    assert right > 4


def test_a_run_taken_up_again_shows_each_step_once_in_order() -> None:
    first, again = history(epochs=2), history()
    for record in first[-6:]:  # what was logged after the checkpoint counts no more
        record.update({key: 9.0 for key in record if key not in ("step", "epoch")})
    mixed = _traces(plot_training_progress([*first, *again], best_step=150, stopped_step=200))
    whole = _traces(plot_training_progress(again, best_step=150, stopped_step=200))
    for name, trace in whole.items():
        assert list(mixed[name].x) == list(trace.x), name
        assert list(mixed[name].y) == list(trace.y), name


def test_records_in_another_order_draw_the_same_lines() -> None:
    drawn = plot_training_progress(history()[::-1], best_step=150, stopped_step=200)
    assert list(_traces(drawn)["학습 손실"].x) == list(range(10, 210, 10))


def test_a_missing_curve_is_left_out_and_its_panel_with_it() -> None:
    kept = [
        {key: value for key, value in record.items() if key not in ("learning_rate", "accuracy")}
        for record in history()
    ]
    figure = plot_training_progress(kept, best_step=150, stopped_step=200)
    assert set(_traces(figure)) == set(CURVES) - {"학습률", "학습 정확도"}
    assert "yaxis3" not in figure.to_plotly_json()["layout"]


def test_a_loss_that_is_no_number_is_a_gap() -> None:
    records = history()
    records[1]["loss"] = math.nan
    records[2]["loss"] = math.inf
    traces = _traces(plot_training_progress(records, best_step=150, stopped_step=200))
    assert list(traces["학습 손실"].x)[:3] == [10, 40, 50]


def test_a_long_training_curve_is_a_line_and_evaluations_keep_their_dots() -> None:
    long = history(epochs=10, records=60)
    traces = _traces(plot_training_progress(long, best_step=6_000, stopped_step=6_000))
    assert len(traces["학습 손실"].x) == 600
    assert traces["학습 손실"].mode == "lines"
    assert traces["검증 손실"].mode == "lines+markers"


def test_no_history_is_a_picture_without_curves() -> None:
    figure = plot_training_progress([], best_step=0, stopped_step=0)
    assert not figure.data
    assert len(figure.layout.annotations) == 1


@pytest.mark.parametrize("draw", [plot_confusion, plot_flips])
def test_a_matrix_shows_counts_and_row_shares_by_korean_names(draw: object) -> None:
    counts = np.array([[3_500, 20, 280], [0, 0, 0], [1, 1, 2]])
    (trace,) = draw(counts).data  # type: ignore[operator]
    assert list(trace.x) == list(trace.y) == ["부정", "중립", "긍정"]
    assert np.asarray(trace.z) == pytest.approx(
        np.array([[3_500 / 3_800, 20 / 3_800, 280 / 3_800], [0, 0, 0], [0.25, 0.25, 0.5]])
    )
    assert list(trace.text[0]) == ["3,500<br>92.1%", "20<br>0.5%", "280<br>7.4%"]
    assert list(trace.text[1]) == ["0<br>-"] * 3  # no row to have a share of
    assert (trace.zmin, trace.zmax) == (0, 1)


def test_truth_runs_down_and_prediction_across() -> None:
    layout = plot_confusion(FLIPS).layout
    assert (layout.yaxis.title.text, layout.xaxis.title.text) == ("정답", "예측")
    assert layout.yaxis.autorange == "reversed"
    layout = plot_flips(FLIPS).layout
    assert (layout.yaxis.title.text, layout.xaxis.title.text) == ("사용 중인 모델", "후보 모델")


def test_reliability_bins_are_those_of_the_calibration_error() -> None:
    facts = calibration()
    for probabilities in (facts.before, facts.after):
        bins = reliability_bins(facts.truth, probabilities)
        gap = (bins.rows * abs(bins.accuracy - bins.confidence)).sum() / len(facts.truth)
        assert gap == pytest.approx(calibration_error(facts.truth, probabilities))
        assert bins.rows.sum() == len(facts.truth)
        assert (abs(bins.middle - bins.confidence) <= 1 / 30 + 1e-9).all()


def test_reliability_is_drawn_before_and_after_with_both_errors() -> None:
    facts = calibration()
    traces = _traces(plot_reliability(facts.truth, facts.before, facts.after))
    errors = [calibration_error(facts.truth, p) for p in (facts.before, facts.after)]
    assert errors[1] < errors[0]
    for words, probabilities, error in (
        ("보정 전", facts.before, errors[0]),
        ("보정 후", facts.after, errors[1]),
    ):
        bins = reliability_bins(facts.truth, probabilities)
        curve = traces[f"{words} (ECE {error:.4f})"]
        assert list(curve.x) == list(bins.confidence)
        assert list(curve.y) == list(bins.accuracy)
        assert list(traces[f"{words} 건수"].y) == list(bins.rows)
    assert list(traces["이상적"].x) == list(traces["이상적"].y)


def test_shares_of_a_source_are_two_bars_that_fill_the_width() -> None:
    figure = plot_class_shares(sources())
    traces = _traces(figure)
    assert list(traces) == ["부정", "중립", "긍정"]
    assert traces["중립"].x[2:4] == pytest.approx((300 / 3_010, 4 / 3_010))
    assert list(traces["중립"].customdata[2:4]) == [300, 4]
    total = sum(np.asarray(trace.x) for trace in traces.values())
    assert total == pytest.approx(np.ones(6))
    assert figure.layout.barmode == "stack"
    names = [mark.text for mark in figure.layout.annotations]
    assert names == ["<b>naver-blog</b>", "<b>twitter</b>", "<b>reviews</b>"]


def test_equal_hostile_and_long_names_of_sources_stay_apart_and_harmless() -> None:
    name = '<a href="https://x">열기</a>\x00' + "가" * 80
    twice = [SourceShift(name, 2, {"negative": 2}, {"neutral": 2}, 9.0)] * 2
    figure = plot_class_shares(twice)
    assert len(set(figure.data[0].y)) == 4
    for mark in figure.layout.annotations:
        assert "<a" not in mark.text
        assert "\x00" not in mark.text
        assert len(mark.text) < 100
    assert figure.data[0].x == (1, 0, 1, 0)
    assert figure.data[1].x == (0, 1, 0, 1)
