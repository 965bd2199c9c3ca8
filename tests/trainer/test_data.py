from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import InputError
from trainer.corpus import merge_equal, read_corpus
from trainer.padding import choose_padding_length, plot_padding_length
from trainer.split import dataset_split, small_classes

TEXTS = [f"{n}번째 글은 {'좋다' if n % 3 else '그저 그렇다'}" for n in range(600)]
LABELS = [n % 3 for n in range(600)]


def test_equal_texts_are_merged_by_majority_and_ties_left_out() -> None:
    rows = [
        ("좋다", 2),
        (" 좋다 ", 2),
        ("좋다", 0),
        ("글쎄", 1),
        ("글쎄", 0),
        ("나쁘다", 0),
        (" ", 1),
    ]
    corpus = merge_equal([text for text, _ in rows], [label for _, label in rows])
    assert dict(zip(corpus.texts, corpus.label_ids.tolist(), strict=True)) == {
        "좋다": 2,
        "나쁘다": 0,
    }
    assert (corpus.merged, corpus.ties) == (3, 1)


def test_labels_are_read_in_both_languages(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    pd.DataFrame({"text": ["하나", "둘", "셋"], "label": ["긍정", "neutral", "Negative"]}).to_csv(
        path
    )
    corpus = read_corpus([path], text_column="text", label_column="label")
    assert corpus.label_ids.tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"text": ["a"], "label": ["best"]}, r"\(긍정\): best$"),
        ({"text": ["a"], "mood": ["positive"]}, "no column 'label'"),
    ],
)
def test_what_cannot_be_trained_on_is_named(
    tmp_path: Path, table: dict[str, list[str]], words: str
) -> None:
    pd.DataFrame(table).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=words):
        read_corpus([tmp_path / "a.parquet"], text_column="text", label_column="label")


def test_a_text_held_out_once_is_held_out_for_ever() -> None:
    corpus = merge_equal(TEXTS, LABELS)
    split = dataset_split(corpus)
    sides = [
        set(np.take(corpus.texts, side)) for side in (split.train, split.validation, split.test)
    ]
    assert sum(len(side) for side in sides) == len(set().union(*sides)) == len(TEXTS)
    assert 0.7 < len(sides[0]) / len(TEXTS) < 0.9
    # More texts, in another order: nobody changes sides.
    more = merge_equal([*reversed(TEXTS), "새 글", "더 새로운 글"], [*reversed(LABELS), 0, 1])
    again = dataset_split(more)
    assert set(np.take(more.texts, again.test)) >= sides[2]
    assert set(np.take(more.texts, again.train)) >= sides[0]


def test_a_class_without_training_text_is_named() -> None:
    with pytest.raises(InputError, match="neutral"):
        dataset_split(merge_equal(TEXTS, [0 if label == 1 else label for label in LABELS]))


def test_small_classes_are_told() -> None:
    labels = [1 if n < 10 else 2 * (n % 2) for n in range(600)]
    assert small_classes(merge_equal(TEXTS, labels)) == ["neutral"]


@pytest.mark.parametrize(
    ("lengths", "ratio", "expected"),
    [
        (list(range(1, 101)), 0.95, 95),
        (list(range(1, 101)), 1.0, 100),
        (list(range(1, 21)), 0.95, 19),
        ([7], 0.95, 7),
        ([7], 1.0, 7),
        ([5, 5, 5, 90], 0.75, 5),
    ],
)
def test_the_padding_length_covers_the_ratio(
    lengths: list[int], ratio: float, expected: int
) -> None:
    chosen = choose_padding_length(np.array(lengths), ratio)
    assert chosen == expected
    assert np.mean(np.array(lengths) <= chosen) >= ratio


@pytest.mark.parametrize(("lengths", "ratio"), [([], 0.9), ([1], 0.0), ([1], 1.1)])
def test_a_padding_length_of_nothing_is_refused(lengths: list[int], ratio: float) -> None:
    with pytest.raises(InputError):
        choose_padding_length(np.array(lengths, dtype=np.int64), ratio)


def test_the_histogram_counts_every_text_on_one_side() -> None:
    figure = plot_padding_length(np.array([3, 3, 4, 9]), 4)
    assert [sum(trace.y) for trace in figure.data] == [3, 1]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_text_that_looks_like_a_number_or_nothing_stays_itself(
    tmp_path: Path, suffix: str
) -> None:
    texts = ["007", "NA", "null", "2020-01-01"]
    table = pd.DataFrame({"text": texts, "label": ["positive"] * len(texts)})
    path = tmp_path / f"a.{suffix}"
    if suffix == "csv":
        table.to_csv(path)
    else:
        table.to_json(path, orient="records", lines=True)
    assert read_corpus([path], text_column="text", label_column="label").texts == texts
