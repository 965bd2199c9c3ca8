"""Train, validation, test: by a hash of the text, so that a text held out once always is. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from sentiment.labels import LABEL_NAMES
from trainer.corpus import Corpus

VALIDATION_SHARE = 0.1
TEST_SHARE = 0.1
MIN_TEXTS = 30  # fewer say nothing, neither in training nor of what came of it
SMALL_SHARE = 0.05  # a class below it is easily forgotten, and hardly measured
_HASH_RANGE = 2**64

Indices = NDArray[np.int64]
HeldOut = Literal["validation", "test"]
_SIDES = ("train", "validation", "test")
_TRAIN, _VALIDATION, _TEST = range(len(_SIDES))


@dataclass(frozen=True)
class Split:
    """Places in the corpus, each on one side only."""

    train: Indices
    validation: Indices
    test: Indices
    pinned: dict[str, HeldOut] = field(default_factory=dict)
    """By text hash: the texts of small classes that were held out although their hash alone would
    not have it, now or in an earlier retrain. To be kept and passed to the next one."""


def dataset_split(
    corpus: Corpus,
    *,
    validation: float = VALIDATION_SHARE,
    test: float = TEST_SHARE,
    pinned: Mapping[str, HeldOut] | None = None,
) -> Split:
    """Split a corpus by text hash, with each class on every side.

    The side is the hash's: below `test`, below `test + validation`, or train. It depends on the
    words of the text and nothing else: not on the order, a seed, the label, or what else is in the
    corpus. So a text that was held out once is held out in every later retrain, though its label
    may change, and no text stands on both sides.

    A class so small that no hash of it falls on a side gives its smallest ones to it. These texts
    are pinned: only their record keeps them there once the class has grown.

    Args:
        corpus: equal texts merged.
        validation: share of the texts.
        test: share of the texts; 0 when the test rows are elsewhere.
        pinned: of the retrains before, `Split.pinned` of each merged.

    Raises:
        InputError: fewer than `MIN_TEXTS` texts, or a class that is missing or too small to have a
            text on every side; it is named, with what to do.
    """
    if len(corpus.texts) < MIN_TEXTS:
        raise InputError(
            f"{len(corpus.texts)} different texts with a settled label: at least {MIN_TEXTS} are"
            " needed to train on"
        )
    shares: dict[HeldOut, float] = {"test": test, "validation": validation}
    wanted = [side for side, share in shares.items() if share > 0]
    _check_classes(corpus, sides=1 + len(wanted))
    hashes = [text_hash(text) for text in corpus.texts]
    places = np.array([int(key, 16) for key in hashes], dtype=np.uint64) / _HASH_RANGE
    sides = np.where(
        places < test, _TEST, np.where(places < test + validation, _VALIDATION, _TRAIN)
    )
    known = dict(pinned or {})
    for place, key in enumerate(hashes):
        if key in known and sides[place] == _TRAIN:
            sides[place] = _SIDES.index(known[key])
    for side in wanted:
        for place in _missing_members(corpus, places, sides, _SIDES.index(side)):
            sides[place] = _SIDES.index(side)
            known[hashes[place]] = side
    _check_train(corpus, sides)
    train, held_out, last = (np.flatnonzero(sides == side) for side in range(len(_SIDES)))
    return Split(train, held_out, last, known)


def text_hash(text: str) -> str:
    """What decides a prepared text's side: 16 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_test_text(text: str) -> bool:
    """Tell whether a retrain with the usual shares would test by this prepared text."""
    return int(text_hash(text), 16) / _HASH_RANGE < TEST_SHARE


def _check_classes(corpus: Corpus, *, sides: int) -> None:
    counts = corpus.class_counts()
    missing = [name for name, count in counts.items() if not count]
    if missing:
        raise InputError(
            f"no text is labelled {', '.join(missing)} ({_listed(counts)}): every class must be"
            " there"
        )
    small = [name for name, count in counts.items() if count < sides]
    if small:
        raise InputError(
            f"too few texts are labelled {', '.join(small)} ({_listed(counts)}): each class needs"
            f" at least {sides}, some to learn from and some to be held out"
        )


def _missing_members(
    corpus: Corpus, places: NDArray[np.float64], sides: NDArray[np.int64], side: int
) -> list[int]:
    """For each class without a text on a side, its text for training with the smallest hash."""
    chosen = []
    for label_id in range(len(LABEL_NAMES)):
        of_class = corpus.label_ids == label_id
        if not (of_class & (sides == side)).any():
            free = np.flatnonzero(of_class & (sides == _TRAIN))
            if len(free):
                chosen.append(int(free[places[free].argmin()]))
    return chosen


def _check_train(corpus: Corpus, sides: NDArray[np.int64]) -> None:
    counts = corpus.class_counts()
    for side, purpose in ((_TRAIN, "to train on"), (_VALIDATION, "for validation")):
        present = set(corpus.label_ids[sides == side].tolist())
        missing = [name for label_id, name in enumerate(LABEL_NAMES) if label_id not in present]
        if missing and (side == _TRAIN or side in sides):
            raise InputError(
                f"too few texts are labelled {', '.join(missing)} ({_listed(counts)}): none is left"
                f" {purpose}; label more of them"
            )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
