"""The padding length: what covers most texts, and the histogram that shows it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from core.errors import InputError
from trainer.plot_style import BLUE, GREY, ORANGE, style, whole_ticks

COVERED_RATIO = 0.95
MIN_PADDING_LENGTH = 8  # what a manifest takes: windows of fewer tokens would say nothing

MAX_BARS = 150  # of the histogram; more cannot be told apart
ROOM_FOR_WORDS = 0.12  # above the highest bar: the marks' words stand there


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


def bounded_padding_length(
    lengths: NDArray[np.int64], ratio: float = COVERED_RATIO, *, positions: int
) -> int:
    """The padding length of a version: what covers the ratio, as far as the model can read it.

    Args:
        lengths: int64 [texts], tokens with the special ones.
        ratio: of the texts to cover.
        positions: tokens that the model has positions for.

    Raises:
        InputError: as `choose_padding_length`.
    """
    return min(max(choose_padding_length(lengths, ratio), MIN_PADDING_LENGTH), positions)


def plot_padding_length(lengths: NDArray[np.int64], padding_length: int) -> go.Figure:
    """Histogram of the token lengths, coloured on both sides of the padding length.

    Every text is counted on the side where it stands, however wide the bars are.

    Args:
        lengths: int64 [texts], not empty.
        padding_length: tokens.
    """
    shortest, longest = int(lengths.min()), int(lengths.max())
    width = -(-(longest - shortest + 1) // MAX_BARS)
    # Bar k covers the lengths over padding_length + (k - 1) * width, up to and with the next.
    bars, counts = np.unique(-((padding_length - lengths) // width), return_counts=True)
    centres = padding_length + bars * width - (width - 1) / 2
    figure = go.Figure()
    for name, side, colour in (
        (f"{padding_length:,} 토큰 이하", bars <= 0, BLUE),
        (f"{padding_length:,} 토큰 초과", bars > 0, ORANGE),
    ):
        figure.add_bar(x=centres[side], y=counts[side], width=width, name=name, marker_color=colour)
    marks = {shortest: f"최소 {shortest:,}", longest: f"최대 {longest:,}"}
    if shortest == longest:
        marks = {shortest: f"최소·최대 {shortest:,}"}
    for value, words in marks.items():
        side_of_line = "top right" if value == shortest else "top left"
        figure.add_vline(
            x=value,
            line_dash="dot",
            line_color=GREY,
            annotation_text=words,
            annotation_position=side_of_line,
        )
    style(figure, title="토큰 길이 분포", height=380)
    figure.update_xaxes(title_text="토큰 수", tickformat=",d")
    highest = int(counts.max())
    room = [0, highest * (1 + ROOM_FOR_WORDS)]
    figure.update_yaxes(title_text="문서 수", range=room, **whole_ticks(highest))
    return figure
