"""Real reviews from a file that the caller names, and fair samples of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sentiment.text import prepare

CHUNK = 4_096  # documents of a chunk, as intake makes them


def read_texts(path: Path, rows: int | None = None) -> list[str]:
    """The first texts of a Parquet file with a column `text`."""
    return [str(text) for text in pd.read_parquet(path, columns=["text"])["text"].iloc[:rows]]


def distinct_texts(path: Path, rows: int) -> list[str]:
    """The first texts that differ when prepared: no side gains by labelling the same one once."""
    kept = {prepare(text): text for text in read_texts(path, 4 * rows)}
    kept.pop("", None)
    return list(kept.values())[:rows]


def even_sample(lengths: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """Places of so many texts with the same spread of lengths as all, in random order.

    A slow side gets fewer texts than a fast one; they must not be shorter or longer ones.
    """
    by_length = np.argsort(lengths, kind="stable")
    places = ((np.arange(rows) + 0.5) * len(lengths) / rows).astype(np.int64)
    return np.random.default_rng(0).permutation(by_length[places])


def in_chunks(texts: Sequence[str], processes: int) -> list[list[str]]:
    """Pieces as a worker's chunks are, smaller where else a process would have none."""
    rows = min(CHUNK, -(-len(texts) // processes))
    return [list(texts[start : start + rows]) for start in range(0, len(texts), rows)]
