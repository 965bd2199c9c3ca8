"""A labelled corpus: read, prepared by the rules that serving uses, equal texts merged."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.errors import InputError
from sentiment.labels import LABEL_NAMES, parse_label
from sentiment.text import prepare


@dataclass(frozen=True)
class Corpus:
    """Prepared texts, each once, with the label that most of its rows carry."""

    texts: list[str]
    label_ids: NDArray[np.int64]
    """int64 [texts]."""
    merged: int
    """Rows that repeated a text."""
    ties: int
    """Texts left out because as many rows say one label as another."""

    def class_counts(self) -> dict[str, int]:
        """Texts per label."""
        counts = np.bincount(self.label_ids, minlength=len(LABEL_NAMES))
        return dict(zip(LABEL_NAMES, counts.tolist(), strict=True))


def read_corpus(paths: Sequence[Path], *, text_column: str, label_column: str) -> Corpus:
    """Read files of texts and labels and merge the equal texts.

    Raises:
        InputError: as `read_rows`.
    """
    return merge_equal(*read_rows(paths, text_column=text_column, label_column=label_column))


def read_rows(
    paths: Sequence[Path], *, text_column: str, label_column: str
) -> tuple[list[str], NDArray[np.int64]]:
    """Read CSV, JSON Lines or Parquet files: texts as they stand, and int64 [rows] label ids.

    Raises:
        InputError: a file or column is missing, or a label is none of ours.
    """
    frames = [_read_columns(path, text_column, label_column) for path in paths]
    table = pd.concat(frames, ignore_index=True)
    labels = table[label_column].astype(str)
    parsed = {word: parse_label(word) for word in labels.unique()}
    unknown = sorted(word for word, label in parsed.items() if label is None)
    if unknown:
        raise InputError(f"labels that are none of {', '.join(LABEL_NAMES)}: {unknown[:10]}")
    ids = {word: label.id for word, label in parsed.items() if label is not None}
    return table[text_column].astype(str).tolist(), labels.map(ids).to_numpy(dtype=np.int64)


def merge_equal(texts: Iterable[str], label_ids: Iterable[int]) -> Corpus:
    """Prepare texts, merge the equal ones and settle their labels by majority."""
    votes: defaultdict[str, Counter[int]] = defaultdict(Counter)
    rows = 0
    for text, label_id in zip(texts, label_ids, strict=True):
        prepared = prepare(text)
        if prepared:
            votes[prepared][int(label_id)] += 1
            rows += 1
    kept: list[str] = []
    settled: list[int] = []
    for text, counts in votes.items():
        ranked = counts.most_common(2)
        if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
            continue
        kept.append(text)
        settled.append(ranked[0][0])
    return Corpus(
        kept,
        np.array(settled, dtype=np.int64),
        merged=rows - len(votes),
        ties=len(votes) - len(kept),
    )


def _read_columns(path: Path, text_column: str, label_column: str) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        elif path.suffix in (".jsonl", ".ndjson"):
            table = pd.read_json(path, lines=True, dtype=False)
        else:
            # As text, all of it: "007" is no number and "NA" no missing value.
            table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({type(error).__name__})") from error
    for column in (text_column, label_column):
        if column not in table.columns:
            raise InputError(f"{path}: no column {column!r} among {list(table.columns)}")
    return table[[text_column, label_column]].dropna()
