"""Which texts go together into one padded batch, and how long ones are cut. Pure.

It knows lengths in tokens, not texts, and no tensor library.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW_OVERLAP = 16  # tokens that neighbouring windows share: no word is cut off from both sides

Indices = NDArray[np.int64]


def plan_batches(lengths: Indices, max_tokens: int, max_rows: int) -> list[Indices]:
    """Cut rows, sorted by length, into batches that waste little on padding.

    Args:
        lengths: int64 [rows], tokens of each row, special tokens included.
        max_tokens: of a batch, padding included: rows times its longest row.
        max_rows: of a batch.

    Returns:
        Index arrays that hold each row once, the longest rows first, so that memory peaks at the
        start. Only a row longer than `max_tokens` makes a larger batch, alone.

    Example:
        >>> [batch.tolist() for batch in plan_batches(np.array([3, 9, 4]), 10, 8)]
        [[1], [2, 0]]
    """
    order = np.argsort(-lengths, kind="stable")
    batches: list[Indices] = []
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        rows = max(1, min(max_rows, max_tokens // longest))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def plan_windows(tokens: int, window: int, overlap: int) -> list[tuple[int, int]]:
    """Cut a long text into overlapping windows that cover every token.

    Args:
        tokens: of the text, without special tokens.
        window: tokens of one window at most.
        overlap: tokens that two neighbours share, half a window at most; the last pair may share
            more.

    Returns:
        (start, end) of each window. All have the full length if the text has.

    Example:
        >>> plan_windows(10, 4, 1)
        [(0, 4), (3, 7), (6, 10)]
    """
    if tokens <= window:
        return [(0, tokens)]
    starts = list(range(0, tokens - window, window - min(overlap, window // 2)))
    return [(start, start + window) for start in [*starts, tokens - window]]
