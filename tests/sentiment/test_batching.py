from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sentiment.batching import plan_batches, plan_windows, round_widths

lengths = st.lists(st.integers(2, 200), max_size=300).map(lambda n: np.array(n, np.int64))


@given(lengths, st.integers(16, 1024), st.integers(1, 64), st.booleans())
def test_every_row_once_within_budget_and_sorted(
    rows: np.ndarray, max_tokens: int, max_rows: int, few_shapes: bool
) -> None:
    batches = plan_batches(rows, max_tokens, max_rows, few_shapes=few_shapes)
    assert sorted(np.concatenate(batches).tolist() if batches else []) == list(range(len(rows)))
    for batch in batches:
        assert len(batch) <= max_rows
        assert len(batch) == 1 or len(batch) * rows[batch].max() <= max_tokens
    flat = [rows[place] for batch in batches for place in batch]
    assert flat == sorted(flat, reverse=True)


def test_padding_is_little_where_lengths_are_mixed() -> None:
    rows = np.random.default_rng(0).integers(4, 60, 4_096)
    batches = plan_batches(rows, 1_024, 1_024)
    padded = sum(len(batch) * int(rows[batch].max()) for batch in batches)
    assert padded < 1.03 * rows.sum()


def test_the_shapes_of_many_chunks_are_few() -> None:
    # oneDNN keeps something of every shape: of these chunks it met two new ones each, without end.
    random = np.random.default_rng(0)
    met: list[set[tuple[int, int]]] = [set(), set()]
    for chunk in range(200):
        size = random.integers(3_000, 4_097)
        lengths = random.lognormal(2.9, 0.6, size).astype(np.int64).clip(3, 160)
        widths = round_widths(lengths, 160)
        for batch in plan_batches(widths, 1_024, 4_096, few_shapes=True):
            met[chunk >= 20].add((len(batch), int(widths[batch[0]])))
    assert len(met[0]) < 100
    assert len(met[1] - met[0]) < 20, "they go on to come"


@given(st.integers(1, 600), st.integers(1, 600))
def test_a_width_holds_its_row_and_wastes_a_sixteenth_at_most(length: int, most: int) -> None:
    (width,) = round_widths(np.array([length]), most).tolist()
    assert length <= width <= max(length, min(most, length * 17 / 16))


@given(st.lists(st.integers(1, 512), min_size=1, max_size=50))
def test_a_longer_row_is_no_narrower(lengths: list[int]) -> None:
    widths = round_widths(np.array(sorted(lengths)), 512)
    assert widths.tolist() == sorted(widths.tolist())


@given(st.integers(0, 2_000), st.integers(4, 128))
def test_windows_cover_every_token_and_none_is_too_long(tokens: int, window: int) -> None:
    overlap = window // 3
    windows = plan_windows(tokens, window, overlap)
    covered = {token for start, end in windows for token in range(start, end)}
    assert covered == set(range(tokens))
    assert all(end - start <= window for start, end in windows)
    assert all(later[0] <= earlier[1] - overlap for earlier, later in pairwise(windows))
    if tokens > window:
        assert all(end - start == window for start, end in windows)


def test_a_window_shorter_than_the_overlap_still_moves_on() -> None:
    assert plan_windows(10, 4, 16) == [(0, 4), (2, 6), (4, 8), (6, 10)]
