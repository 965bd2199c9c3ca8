"""The padding length: what covers most texts, and the histogram that shows it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from core.errors import InputError

COVERED_RATIO = 0.95


def choose_padding_length(lengths: NDArray[np.int64], ratio: float = COVERED_RATIO) -> int:
    """The smallest length that covers at least a share of the texts.

    Args:
        lengths: int64 [texts], tokens with the special ones; not empty.
        ratio: above 0, at most 1; 1 is the longest text.

    Raises:
        InputError: no lengths, or another ratio.
    """
    if not len(lengths) or not 0 < ratio <= 1:
        raise InputError("a padding length needs texts and a ratio within (0, 1]")
    ranked = np.sort(lengths)
    # The epsilon keeps 0.95 * 20 = 19.000000000000004 from asking for a twentieth text.
    return int(ranked[int(np.ceil(ratio * len(ranked) - 1e-9)) - 1])


def plot_padding_length(lengths: NDArray[np.int64], padding_length: int) -> go.Figure:
    """Histogram of the token lengths, coloured on both sides of the padding length."""
    values, counts = np.unique(lengths, return_counts=True)
    covered = values <= padding_length
    figure = go.Figure()
    for name, side, colour in (
        (f"{padding_length} 토큰 이하", covered, "#2a9d8f"),
        (f"{padding_length} 토큰 초과", ~covered, "#e76f51"),
    ):
        figure.add_bar(x=values[side], y=counts[side], name=name, marker_color=colour)
    for words, value in (("최소", values[0]), ("최대", values[-1])):
        figure.add_vline(x=int(value), line_dash="dot", annotation_text=f"{words} {value}")
    figure.update_layout(title="토큰 길이 분포", xaxis_title="토큰 수", yaxis_title="문서 수")
    return figure
