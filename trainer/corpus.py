"""A labelled corpus: prepared by the rules that serving uses, equal texts merged.

It knows texts and label names, not files: `trainer.labelled_rows` reads those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sentiment.labels import LABEL_NAMES, LABELS
from sentiment.text import prepare
from trainer.label_words import resolve_labels
from trainer.labelled_rows import read_labelled

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Corpus:
    """Prepared texts, each once, with the label that most of its rows carry."""

    texts: list[str]
    label_ids: Ids
    """int64 [texts]."""
    merged: int
    """Rows that repeated a text."""
    ties: int
    """Texts left out because as many rows say one label as another."""
    skipped: int = 0
    """Rows without a text or without a label."""

    def class_counts(self) -> dict[str, int]:
        """Texts per label."""
        counts = np.bincount(self.label_ids, minlength=len(LABELS))
        return dict(zip(LABEL_NAMES, counts.tolist(), strict=True))


def read_corpus(
    paths: Sequence[Path],
    *,
    text_column: str,
    label_column: str,
    label_map: Mapping[str, str] | None = None,
    annotations: Sequence[tuple[str, str]] = (),
) -> Corpus:
    """Read files of texts and labels, add annotations, and merge the equal texts.

    Args:
        paths: CSV, JSON Lines or Parquet files.
        text_column: of the files.
        label_column: of the files.
        label_map: what a word of the label column means, such as `{"0": "negative"}`, where it is
            no label's name.
        annotations: pairs of a stored text and a label's name. Each is one vote, as a row is: what
            a person says of a text and what a file says of it may be both wrong.

    Raises:
        InputError: as `read_rows`.
    """
    texts, label_ids, skipped = _read(paths, text_column, label_column, label_map)
    words = [label for _, label in annotations]
    texts.extend(text for text, _ in annotations)
    noted = resolve_labels(words, None, where="the annotations")
    return merge_equal(texts, np.concatenate([label_ids, noted]), skipped=skipped)


def read_rows(
    paths: Sequence[Path],
    *,
    text_column: str,
    label_column: str,
    label_map: Mapping[str, str] | None = None,
) -> tuple[list[str], Ids]:
    """Read labelled files as they stand, without merging: texts, and int64 [rows] label ids.

    Raises:
        InputError: a file or column is missing or cannot be read, or a label is none of ours.
    """
    texts, label_ids, _ = _read(paths, text_column, label_column, label_map)
    return texts, label_ids


def merge_equal(texts: Iterable[str], label_ids: Iterable[int], *, skipped: int = 0) -> Corpus:
    """Prepare texts, merge the equal ones and settle their labels by majority.

    Args:
        texts: as they are stored.
        label_ids: of the texts.
        skipped: rows that were left out before; those of which nothing is left are added.
    """
    place_of: dict[str, int] = {}
    votes: list[int] = []  # text's place * classes + label: one number a row, not a counter a text
    for text, label_id in zip(texts, label_ids, strict=True):
        prepared = prepare(text)
        if prepared:
            place = place_of.setdefault(prepared, len(place_of))
            votes.append(place * len(LABELS) + int(label_id))
        else:
            skipped += 1
    counts = np.bincount(votes, minlength=len(place_of) * len(LABELS)).reshape(-1, len(LABELS))
    most = counts.max(axis=1, initial=0)
    settled = (counts == most[:, None]).sum(axis=1) == 1
    return Corpus(
        [text for text, place in place_of.items() if settled[place]],
        counts.argmax(axis=1)[settled].astype(np.int64),
        merged=len(votes) - len(place_of),
        ties=int((~settled).sum()),
        skipped=skipped,
    )


def _read(
    paths: Sequence[Path],
    text_column: str,
    label_column: str,
    label_map: Mapping[str, str] | None,
) -> tuple[list[str], Ids, int]:
    texts: list[str] = []
    words: list[str] = []
    skipped = 0
    for path in paths:
        rows = read_labelled(path, text_column, label_column)
        texts.extend(rows.texts)
        words.extend(rows.labels)
        skipped += rows.skipped
    return texts, resolve_labels(words, label_map, where=f"column {label_column!r}"), skipped
