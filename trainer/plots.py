"""The course of a fit as a picture, in Korean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

_CURVES = (
    ("loss", "학습 손실", 1),
    ("eval_loss", "검증 손실", 1),
    ("eval_accuracy", "검증 정확도", 2),
    ("eval_macro_f1", "검증 macro-F1", 2),
    ("learning_rate", "학습률", 3),
)


def plot_training_progress(
    history: Sequence[Mapping[str, Any]], *, best_step: int, stopped_step: int
) -> go.Figure:
    """Losses, validation measures and learning rate by step; best and last step marked.

    Args:
        history: records with `step` and any of the curves' names, as `FitResult.history` holds.
        best_step: whose weights were kept.
        stopped_step: the last one.
    """
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for key, name, row in _CURVES:
        points = [(record["step"], record[key]) for record in history if key in record]
        if points:
            steps, values = zip(*points, strict=True)
            figure.add_scatter(x=steps, y=values, name=name, mode="lines+markers", row=row, col=1)
    figure.add_vline(x=best_step, line_dash="dash", line_color="#2a9d8f")
    figure.add_vline(x=stopped_step, line_dash="dot", line_color="#e76f51")
    for step, words, place in ((best_step, "최고", 1.06), (stopped_step, "종료", 1.02)):
        figure.add_annotation(
            x=step, y=place, yref="paper", text=f"{words} {step}", showarrow=False
        )
    figure.update_layout(title="학습 경과", height=800)
    figure.update_xaxes(title_text="단계", row=3, col=1)
    return figure
