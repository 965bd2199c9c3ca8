from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sentiment.batching import plan_batches, plan_windows

lengths = st.lists(st.integers(2, 200), max_size=300).map(lambda n: np.array(n, np.int64))


@given(lengths, st.integers(16, 1024), st.integers(1, 64))
def test_every_row_once_within_budget_and_sorted(
    rows: np.ndarray, max_tokens: int, max_rows: int
) -> None:
    batches = plan_batches(rows, max_tokens, max_rows)
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
