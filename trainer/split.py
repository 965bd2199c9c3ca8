"""Train, validation, test: by a hash of the text, so that a text held out once always is. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from sentiment.labels import LABEL_NAMES
from trainer.corpus import Corpus

SMALL_SHARE = 0.05  # a class below it is easily forgotten, and hardly measured
_HASH_RANGE = 2**64

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Places in the corpus, each on one side only."""

    train: Indices
    validation: Indices
    test: Indices


def dataset_split(corpus: Corpus, *, validation: float = 0.1, test: float = 0.1) -> Split:
    """Split a corpus by text hash within each class.

    Where a text falls depends on its words and nothing else: not on the order, not on a seed, not
    on what else is in the corpus. So a text that was held out once is held out in every later
    retrain, and no text stands on both sides.

    Args:
        corpus: equal texts merged.
        validation: share of the texts.
        test: share of the texts; 0 when the test rows are elsewhere.

    Raises:
        InputError: a class has no text for training.
    """
    places = np.array([_place(text) for text in corpus.texts])
    sides = Split(
        train=np.flatnonzero(places >= validation + test),
        validation=np.flatnonzero((places >= test) & (places < validation + test)),
        test=np.flatnonzero(places < test),
    )
    present = set(corpus.label_ids[sides.train].tolist())
    missing = [name for label_id, name in enumerate(LABEL_NAMES) if label_id not in present]
    if missing:
        raise InputError(f"no text to train on is labelled {', '.join(missing)}")
    return sides


def small_classes(corpus: Corpus) -> list[str]:
    """Labels that fewer than `SMALL_SHARE` of the texts carry."""
    total = max(1, len(corpus.texts))
    return [name for name, count in corpus.class_counts().items() if count / total < SMALL_SHARE]


def _place(text: str) -> float:
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") / _HASH_RANGE
