"""The course of a fit as a picture, in Korean. It knows of no model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from trainer.plot_style import BLUE, GREEN, GREY, LIGHT_BLUE, ORANGE, style, whole_ticks

History = Sequence[Mapping[str, Any]]

MARKED_POINTS = 60  # a curve of more points is drawn without a dot on each
_PANEL_HEIGHT = 215  # pixels, with the gap: all three fit on a printed page
_PANEL_GAP = 76  # pixels, for a legend of three lines on a narrow screen
_ABOVE = 140  # pixels, for the title, the marks and a legend
_BELOW = 48  # pixels, for the axis
_AROUND = _ABOVE + _BELOW
# Marks near the right edge hang to the left, so that none is cut.
_RIGHT_HALF = 0.5


@dataclass(frozen=True)
class _Curve:
    key: str
    name: str
    colour: str
    evaluated: bool
    """Once an evaluation, not once a logged step."""


_PANELS: tuple[tuple[str, str, tuple[_Curve, ...]], ...] = (
    (
        "손실",
        "",
        (
            _Curve("loss", "학습 손실", LIGHT_BLUE, False),
            _Curve("eval_loss", "검증 손실", BLUE, True),
        ),
    ),
    (
        "정확도 · macro-F1",
        ".0%",
        (
            _Curve("accuracy", "학습 정확도", LIGHT_BLUE, False),
            _Curve("eval_accuracy", "검증 정확도", BLUE, True),
            _Curve("eval_macro_f1", "검증 macro-F1", GREEN, True),
        ),
    ),
    ("학습률", ".1e", (_Curve("learning_rate", "학습률", GREY, False),)),
)


@dataclass(frozen=True)
class _Point:
    step: int
    epoch: float
    value: float


def plot_training_progress(history: History, *, best_step: int, stopped_step: int) -> go.Figure:
    """Losses, accuracy, macro-F1 and learning rate by step; best and last step marked and named.

    A curve without a single value is left out, and with its last curve the panel. Of a step that
    was logged twice (a run that was taken up again) the later record counts.

    Args:
        history: records with `step`, `epoch` and any of loss, accuracy, learning_rate (training),
            eval_loss, eval_accuracy, eval_macro_f1 (validation), in any order.
        best_step: whose weights were kept.
        stopped_step: the last one.
    """
    panels = [
        (title, ticks, drawn)
        for title, ticks, curves in _PANELS
        if (drawn := [(c, points) for c in curves if (points := _points(history, c.key))])
    ]
    rows = max(1, len(panels))
    height = rows * _PANEL_HEIGHT + _AROUND
    gap = _PANEL_GAP / (height - _AROUND)
    figure = make_subplots(rows=rows, cols=1, shared_xaxes=True, vertical_spacing=gap)
    style(figure, title="학습 경과", height=height, top=_ABOVE)
    for row, (title, ticks, curves) in enumerate(panels, start=1):
        legend = f"legend{row if row > 1 else ''}"
        for curve, points in curves:
            figure.add_trace(_draw(curve, points, legend), row=row, col=1)
        figure.update_yaxes(title_text=title, tickformat=ticks, row=row, col=1)
        top = figure.get_subplot(row, 1).yaxis.domain[1]
        figure.update_layout({legend: {"orientation": "h", "x": 0, "y": top, "yanchor": "bottom"}})
    figure.update_xaxes(title_text="단계 (step)", row=rows, col=1)
    _mark(figure, history, best_step, stopped_step)
    return figure


def _points(history: History, key: str) -> list[_Point]:
    """The finite values of a curve by step."""
    found: dict[int, _Point] = {}
    for record in history:
        value = record.get(key)
        # A loss of an overflowed half-precision step is NaN: a gap, not an end of the picture.
        if value is not None and math.isfinite(value):
            step = int(record["step"])
            found[step] = _Point(step, float(record.get("epoch", math.nan)), float(value))
    return [found[step] for step in sorted(found)]


def _draw(curve: _Curve, points: list[_Point], legend: str) -> go.Scatter:
    dots = curve.evaluated or len(points) <= MARKED_POINTS
    return go.Scatter(
        x=[point.step for point in points],
        y=[point.value for point in points],
        customdata=[point.epoch for point in points],
        name=curve.name,
        legend=legend,
        showlegend=True,
        mode="lines+markers" if dots else "lines",
        line={"color": curve.colour, "width": 2.5 if curve.evaluated else 1.5},
        marker={"size": 7 if curve.evaluated else 4},
        hovertemplate="%{y:.4g} (%{x:,}단계, %{customdata:.2f}에폭)",
    )


def _mark(figure: go.Figure, history: History, best_step: int, stopped_step: int) -> None:
    """A line and a name for the best and the last step, one of both where they are the same."""
    epochs = {int(r["step"]): float(r["epoch"]) for r in history if "epoch" in r}
    marks = [("최고", best_step, GREEN, 64), ("종료", stopped_step, ORANGE, 46)]
    if best_step == stopped_step:
        marks = [("최고이자 종료", best_step, GREEN, 46)]
    last = max([*epochs, best_step, stopped_step, 1])
    for words, step, colour, above in marks:
        figure.add_vline(x=step, line={"dash": "dash", "color": colour, "width": 1.5})
        when = f"{epochs[step]:.4g}에폭, {step:,}단계" if step in epochs else f"{step:,}단계"
        figure.add_annotation(
            x=step,
            y=1,
            yref="paper",
            yshift=above,
            text=f"{words}: {when}",
            font={"color": colour},
            xanchor="right" if step > _RIGHT_HALF * last else "left",
            showarrow=False,
        )
    # Room for a lone point, and for the marks at either end.
    figure.update_xaxes(range=[-0.03 * last, 1.03 * last], **whole_ticks(last))
