"""What a version says, as pictures in Korean: confusion, calibration, what would change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from sentiment.labels import LABELS
from sentiment.metrics import CALIBRATION_BINS, Ids, Probabilities, calibration_error
from trainer.evidence import SourceShift
from trainer.plot_style import (
    BLUE,
    CLASS_COLOURS,
    CLASS_NAMES_KO,
    GREY,
    SHARES,
    plain,
    style,
    whole_ticks,
)

Counts = NDArray[np.int64]

_BAR_HEIGHT = 26  # pixels
_LOWEST_CONFIDENCE = 1 / len(LABELS)  # of the largest of three probabilities


def plot_confusion(counts: Counts, title: str = "혼동 행렬") -> go.Figure:
    """Each true class by what it was called, as counts and as shares of the row.

    Args:
        counts: int64 [3, 3], truth by prediction.
        title: Korean.
    """
    return _plot_pairs(counts, title, rows="정답", columns="예측")


def plot_flips(counts: Counts) -> go.Figure:
    """Each label of the active version by the candidate's, as counts and as shares of the row.

    Args:
        counts: int64 [3, 3], before by after.
    """
    return _plot_pairs(counts, "라벨 변화", rows="사용 중인 모델", columns="후보 모델")


def _plot_pairs(counts: Counts, title: str, *, rows: str, columns: str) -> go.Figure:
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(1, totals)
    words = [
        [
            f"{count:,}<br>{share:.1%}" if total else "0<br>-"
            for count, share in zip(line, line_shares, strict=True)
        ]
        for line, line_shares, total in zip(counts, shares, totals[:, 0], strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=CLASS_NAMES_KO,
            y=CLASS_NAMES_KO,
            text=words,
            texttemplate="%{text}",
            textfont={"size": 15},
            hovertemplate=f"{rows} %{{y}} → {columns} %{{x}}<br>%{{text}}<extra></extra>",
            colorscale=SHARES,
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=2,
            ygap=2,
        )
    )
    style(figure, title=title, height=360)
    figure.update_xaxes(title_text=columns, showgrid=False)
    figure.update_yaxes(title_text=rows, showgrid=False, autorange="reversed")
    return figure


@dataclass(frozen=True)
class ReliabilityBins:
    """The bins of `calibration_error` that hold rows, by rising confidence."""

    middle: NDArray[np.float64]
    """Of the bin's range."""
    confidence: NDArray[np.float64]
    """Mean of its rows."""
    accuracy: NDArray[np.float64]
    rows: NDArray[np.int64]


def reliability_bins(truth: Ids, probabilities: Probabilities) -> ReliabilityBins:
    """Sort rows by the label's probability into the bins that `calibration_error` sums up.

    Args:
        truth: int64 [rows].
        probabilities: float64 [rows, 3].
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    places = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    rows = np.bincount(places, minlength=CALIBRATION_BINS)
    used = np.flatnonzero(rows)
    confidences, accuracies = (
        np.bincount(places, weights=values, minlength=CALIBRATION_BINS)[used] / rows[used]
        for values in (confidence, right)
    )
    middle = (used + 0.5) / CALIBRATION_BINS
    return ReliabilityBins(middle, confidences, accuracies, rows[used].astype(np.int64))


def plot_reliability(truth: Ids, before: Probabilities, after: Probabilities) -> go.Figure:
    """Confidence against accuracy per bin, before and after the temperature, with the bins' rows.

    Args:
        truth: int64 [rows].
        before: float64 [rows, 3], probabilities at temperature 1.
        after: float64 [rows, 3], at the fitted temperature.
    """
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.72, 0.28], vertical_spacing=0.06
    )
    ends = [_LOWEST_CONFIDENCE, 1.0]
    figure.add_scatter(
        x=ends, y=ends, mode="lines", name="이상적", line={"dash": "dot", "color": GREY}
    )
    for words, probabilities, colour, symbol in (
        ("보정 전", before, GREY, "circle-open"),
        ("보정 후", after, BLUE, "circle"),
    ):
        bins = reliability_bins(truth, probabilities)
        figure.add_scatter(
            x=bins.confidence,
            y=bins.accuracy,
            customdata=bins.rows,
            mode="lines+markers",
            name=f"{words} (ECE {calibration_error(truth, probabilities):.4f})",
            line={"color": colour},
            marker={"size": 9, "symbol": symbol},
            hovertemplate="확신 %{x:.1%} → 정확 %{y:.1%} (%{customdata:,}건)",
            legendgroup=words,
        )
        figure.add_bar(
            x=bins.middle,
            y=bins.rows,
            name=f"{words} 건수",
            marker_color=colour,
            hovertemplate="%{y:,}건",
            legendgroup=words,
            showlegend=False,
            row=2,
            col=1,
        )
    style(figure, title="확률 보정", height=520, top=110)
    figure.update_xaxes(range=[_LOWEST_CONFIDENCE - 0.02, 1.02], tickformat=".0%")
    figure.update_xaxes(title_text="확신 (가장 큰 확률)", row=2, col=1)
    figure.update_yaxes(title_text="정확도", range=[0, 1.03], tickformat=".0%", row=1, col=1)
    figure.update_yaxes(title_text="건수", **whole_ticks(len(truth)), row=2, col=1)
    return figure


def plot_class_shares(sources: Sequence[SourceShift]) -> go.Figure:
    """Per source two bars, before and after, divided into the classes' shares.

    Args:
        sources: in the order to show, at least one.
    """
    figure = go.Figure()
    # Places, not names: equal or shortened names must not fall onto one bar. The name stands in
    # the first of three places, above its bars: beside them it would take a narrow screen.
    places = [3 * n + bar for n in range(len(sources)) for bar in (1, 2)]
    for label in LABELS:
        pairs = [_share(said, label.name) for s in sources for said in (s.before, s.after)]
        figure.add_bar(
            y=places,
            x=[share for share, _ in pairs],
            customdata=[count for _, count in pairs],
            name=label.name_ko,
            orientation="h",
            width=0.9,
            marker_color=CLASS_COLOURS[label.name],
            texttemplate="%{x:.1%}",
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            hovertemplate="%{customdata:,}건 (%{x:.2%})",
        )
    height = max(220, 3 * len(sources) * _BAR_HEIGHT + 130)
    style(figure, title="출처별 라벨 비중", height=height, top=90)
    figure.update_layout(
        barmode="stack",
        legend_traceorder="normal",
        uniformtext={"mode": "hide", "minsize": 10},
    )
    for n, source in enumerate(sources):
        figure.add_annotation(
            x=0,
            y=3 * n,
            text=f"<b>{plain(source.source)}</b>",
            xanchor="left",
            yanchor="middle",
            showarrow=False,
        )
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(
        range=[3 * len(sources) - 0.4, -0.6],
        tickvals=places,
        ticktext=["이전", "이후"] * len(sources),
        showgrid=False,
    )
    return figure


def _share(said: Mapping[str, int], name: str) -> tuple[float, int]:
    count = int(said.get(name, 0))
    return count / max(1, sum(said.values())), count
