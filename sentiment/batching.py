"""Which texts go together into one padded batch, and how long ones are cut. Pure.

It knows lengths in tokens, not texts, and no tensor library.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW_OVERLAP = 16  # tokens that neighbouring windows share: no word is cut off from both sides

Indices = NDArray[np.int64]


def plan_batches(
    lengths: Indices, max_tokens: int, max_rows: int, *, few_shapes: bool = False
) -> list[Indices]:
    """Cut rows, sorted by length, into batches that waste little on padding.

    Args:
        lengths: int64 [rows], tokens of each row, special tokens included.
        max_tokens: of a batch, padding included: rows times its longest row.
        max_rows: of a batch.
        few_shapes: what is left for a last batch is cut into powers of two of rows. The others'
            rows follow from their longest; the last one's are as chance has it, chunk by chunk,
            and a library that keeps something of every shape it meets would grow by each.

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
        left = len(order) - start
        if few_shapes and left < rows:
            rows = 1 << (left.bit_length() - 1)
        batches.append(order[start : start + rows])
        start += rows
    return batches


def round_widths(lengths: Indices, most: int) -> Indices:
    """How wide rows are padded, if they are the longest of their batch: few widths for many rows.

    Up to 32 tokens each length is a width of its own, then every second, from 64 on every fourth,
    and so on: 16 in each doubling, at most a sixteenth more than the length.

    Args:
        lengths: int64 [rows], positive.
        most: that is never passed, though a length is.

    Example:
        >>> round_widths(np.array([31, 33, 65, 130, 159]), 159).tolist()
        [31, 34, 68, 136, 159]
    """
    doublings = np.log2(np.maximum(lengths, 1)).astype(np.int64)
    step = 1 << np.maximum(doublings - 4, 0)
    widths: Indices = np.maximum(lengths, np.minimum(-(-lengths // step) * step, most))
    return widths


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
