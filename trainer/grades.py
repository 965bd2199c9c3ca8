"""Grades that the writers gave, such as stars: finer than the labels that were made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from sentiment.labels import LABELS
from sentiment.text import prepare
from trainer.labelled_rows import read_labelled


@dataclass(frozen=True)
class Grades:
    """The grades of texts."""

    shares: NDArray[np.float32]
    """float32 [texts, grades]: of a text's rows; each sums to 1."""
    label_ids: NDArray[np.int64]
    """int64 [grades]: the label that most texts of a grade have."""


def read_grades(
    path: Path, text_column: str, column: str, texts: Sequence[str], label_ids: NDArray[np.int64]
) -> Grades:
    """Read the grades of texts that were read from the same file.

    Args:
        path: CSV, JSON Lines or Parquet.
        text_column: of the file.
        column: of the file; its words are grades, whatever they are.
        texts: prepared, each once.
        label_ids: int64 [texts].

    Raises:
        InputError: the file lacks a column or cannot be read, or a text has no grade.
    """
    rows = read_labelled(path, text_column, column)
    words = {word: place for place, word in enumerate(sorted(set(rows.labels)))}
    places = {text: place for place, text in enumerate(texts)}
    counts = np.zeros((len(texts), len(words)), np.float32)
    for text, word in zip(rows.texts, rows.labels, strict=True):
        place = places.get(prepare(text))
        if place is not None:
            counts[place, words[word]] += 1
    total = counts.sum(axis=1, keepdims=True)
    without = int((total == 0).sum())
    if without:
        raise InputError(f"{path}: {without:,} texts have nothing in column {column!r}")
    shares = counts / total
    by_label = np.stack([shares[label_ids == label.id].sum(axis=0) for label in LABELS])
    return Grades(shares, by_label.argmax(axis=0))


def labels_as_grades(label_ids: NDArray[np.int64]) -> Grades:
    """Where there are no finer ones: int64 [texts] -> each label a grade."""
    return Grades(np.eye(len(LABELS), dtype=np.float32)[label_ids], np.arange(len(LABELS)))
