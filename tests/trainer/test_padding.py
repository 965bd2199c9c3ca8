from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from core.errors import InputError
from trainer.padding import bounded_padding_length, choose_padding_length, plot_padding_length


@pytest.mark.parametrize(
    ("lengths", "ratio", "expected"),
    [
        (list(range(1, 101)), 0.95, 95),
        (list(range(1, 101)), 1.0, 100),
        (list(range(1, 21)), 0.95, 19),
        ([7], 0.95, 7),
        ([7], 1.0, 7),
        ([5, 5, 5, 90], 0.75, 5),
    ],
)
def test_the_padding_length_covers_the_ratio(
    lengths: list[int], ratio: float, expected: int
) -> None:
    chosen = choose_padding_length(np.array(lengths), ratio)
    assert chosen == expected
    assert np.mean(np.array(lengths) <= chosen) >= ratio


@pytest.mark.parametrize(("lengths", "ratio"), [([], 0.9), ([1], 0.0), ([1], 1.1)])
def test_a_padding_length_of_nothing_is_refused(lengths: list[int], ratio: float) -> None:
    with pytest.raises(InputError):
        choose_padding_length(np.array(lengths, dtype=np.int64), ratio)


@pytest.mark.parametrize(("longest", "expected"), [(4, 8), (100, 100), (900, 512)])
def test_a_version_reads_what_its_model_has_positions_for(longest: int, expected: int) -> None:
    assert bounded_padding_length(np.array([3, longest]), 1.0, positions=512) == expected


def _marks(figure: go.Figure) -> list[str]:
    return [mark.text for mark in figure.layout.annotations]


@pytest.mark.parametrize("spread", [1, 40])
def test_the_histogram_counts_every_text_on_its_side(spread: int) -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 5_000) * spread
    chosen = choose_padding_length(lengths, 0.95)
    figure = plot_padding_length(lengths, chosen)
    within, over = figure.data
    assert (sum(within.y), sum(over.y)) == ((lengths <= chosen).sum(), (lengths > chosen).sum())
    assert within.marker.color != over.marker.color
    assert max(within.x) + within.width / 2 == pytest.approx(chosen + 0.5)
    assert min(over.x) - over.width / 2 >= chosen + 0.5
    assert len(within.x) + len(over.x) <= 151
    assert _marks(figure) == [f"최소 {lengths.min():,}", f"최대 {lengths.max():,}"]
    assert [shape.x0 for shape in figure.layout.shapes] == [lengths.min(), lengths.max()]


def test_the_words_of_the_marks_stand_above_the_bars() -> None:
    figure = plot_padding_length(np.array([3] * 50 + [9] * 40), 9)
    bottom, top = figure.layout.yaxis.range
    assert bottom == 0
    assert top > 1.1 * 50


def test_at_ratio_one_nothing_is_over_it() -> None:
    lengths = np.array([3, 3, 4, 9])
    within, over = plot_padding_length(lengths, choose_padding_length(lengths, 1.0)).data
    assert (sum(within.y), len(over.y)) == (4, 0)


def test_one_text_has_one_bar_and_one_mark() -> None:
    figure = plot_padding_length(np.array([7]), 7)
    assert (list(figure.data[0].x), list(figure.data[0].y)) == ([7], [1])
    assert _marks(figure) == ["최소·최대 7"]
