"""Runs of characters as a sparse matrix: how the starter's teachers read spelling.

They see in 재밋따 what a vocabulary of words does not. It needs scikit-learn, which is installed
for development alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer


@dataclass(frozen=True)
class Reading:
    """Which runs of characters a teacher sees."""

    analyzer: Literal["char", "char_wb"]
    """`char_wb`: within words; `char`: across them too."""
    characters: tuple[int, int]
    """Of the shortest and the longest run."""
    min_texts: int
    """A run seen in fewer says nothing."""
    max_runs: int


WITHIN_WORDS = Reading("char_wb", (1, 4), 5, 400_000)
ACROSS_WORDS = Reading("char", (2, 6), 8, 700_000)


def read_runs(texts: Sequence[str], reading: Reading) -> Any:
    """Weigh the runs of each text by their rarity.

    Args:
        texts: prepared.
        reading: which runs.

    Returns:
        a sparse matrix in rows, float32 [texts, runs], each row of length 1.
    """
    vectorizer = TfidfVectorizer(
        analyzer=reading.analyzer,
        ngram_range=reading.characters,
        min_df=min(reading.min_texts, 1 + len(texts) // 1_000),
        max_features=reading.max_runs,
        sublinear_tf=True,
        dtype=np.float32,
    )
    # A text begins and ends as a word does.
    return vectorizer.fit_transform([f" {text} " for text in texts]).tocsr()
