from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from trainer.corpus import Corpus, merge_equal
from trainer.split import Split, dataset_split, text_hash

TEXTS = [f"{n}번째 글은 {'좋다' if n % 3 else '그저 그렇다'}" for n in range(600)]
LABELS = [n % 3 for n in range(600)]


def _sides(corpus: Corpus, split: Split) -> list[set[str]]:
    return [
        {corpus.texts[place] for place in side}
        for side in (split.train, split.validation, split.test)
    ]


def test_no_text_stands_on_two_sides_and_each_on_one() -> None:
    corpus = merge_equal(TEXTS, LABELS)
    train, validation, test = _sides(corpus, dataset_split(corpus))
    assert len(train) + len(validation) + len(test) == len(train | validation | test) == 600
    assert 0.75 < len(train) / 600 < 0.85
    assert 0.06 < len(validation) / 600 < 0.14
    assert 0.06 < len(test) / 600 < 0.14


def test_a_text_held_out_once_is_held_out_for_ever() -> None:
    corpus = merge_equal(TEXTS, LABELS)
    train, validation, test = _sides(corpus, dataset_split(corpus))
    # More texts, in another order, other labels: nobody changes sides.
    others = [f"새로운 글 {n}" for n in range(3_000)]
    labels = [(label + 1) % 3 for label in LABELS]
    more = merge_equal([*others, *reversed(TEXTS)], [*[n % 3 for n in range(3_000)], *labels])
    again = _sides(more, dataset_split(more))
    known = set(TEXTS)
    assert [side & known for side in again] == [train, validation, test]


@given(
    st.lists(st.integers(0, 10_000), min_size=30, max_size=120, unique=True),
    st.lists(st.integers(0, 10_000), max_size=200, unique=True),
)
def test_whatever_comes_later_a_held_out_text_stays_held_out(
    first: list[int], later: list[int]
) -> None:
    def corpus_of(numbers: list[int]) -> Corpus:
        return merge_equal([f"글 {n}" for n in numbers], [n % 3 for n in numbers])

    before = corpus_of(first)
    try:
        split = dataset_split(before)
    except InputError:
        return  # a class too small
    _, validation, test = _sides(before, split)
    after = corpus_of([*first, *later])
    _, validation_after, test_after = _sides(after, dataset_split(after, pinned=split.pinned))
    assert validation <= validation_after
    assert test <= test_after


def test_every_class_is_on_every_side_however_rare() -> None:
    # 12 of 3,000, chosen so that none of them falls on a held-out side by its hash.
    high = [n for n in range(10_000) if int(text_hash(f"드문 글 {n}"), 16) / 2**64 > 0.5][:12]
    texts = [f"흔한 글 {n}" for n in range(3_000)] + [f"드문 글 {n}" for n in high]
    labels = [2 * (n % 2) for n in range(3_000)] + [1] * len(high)
    corpus = merge_equal(texts, labels)
    split = dataset_split(corpus)
    for side in (split.train, split.validation, split.test):
        assert set(corpus.label_ids[side].tolist()) == {0, 1, 2}
    rare = {text_hash(f"드문 글 {n}") for n in high}
    assert set(split.pinned) <= rare
    assert sorted(split.pinned.values()) == ["test", "validation"]
    # They have the smallest hashes of their class.
    assert set(split.pinned) == set(sorted(rare)[:2])


def test_a_pinned_text_stays_when_its_class_has_grown() -> None:
    high = [n for n in range(10_000) if int(text_hash(f"드문 글 {n}"), 16) / 2**64 > 0.5][:12]
    low = [n for n in range(10_000) if int(text_hash(f"드문 글 {n}"), 16) / 2**64 < 0.2][:50]
    common = [f"흔한 글 {n}" for n in range(300)]
    labels = [2 * (n % 2) for n in range(300)]
    few = merge_equal([*common, *(f"드문 글 {n}" for n in high)], [*labels, *[1] * 12])
    first = dataset_split(few)
    many = merge_equal([*common, *(f"드문 글 {n}" for n in [*high, *low])], [*labels, *[1] * 62])
    kept = dataset_split(many, pinned=first.pinned)
    assert kept.pinned == first.pinned
    for side, before, after in (
        ("validation", first.validation, kept.validation),
        ("test", first.test, kept.test),
    ):
        assert {few.texts[n] for n in before} <= {many.texts[n] for n in after}, side


def test_thirty_texts_are_enough() -> None:
    corpus = merge_equal(TEXTS[:30], LABELS[:30])
    split = dataset_split(corpus)
    for side in (split.train, split.validation, split.test):
        assert set(corpus.label_ids[side].tolist()) == {0, 1, 2}


def test_fewer_than_thirty_are_refused() -> None:
    with pytest.raises(InputError, match=r"29 different texts.*at least 30"):
        dataset_split(merge_equal(TEXTS[:29], LABELS[:29]))


def test_a_missing_class_is_named() -> None:
    with pytest.raises(InputError, match="no text is labelled neutral"):
        dataset_split(merge_equal(TEXTS, [0 if label == 1 else label for label in LABELS]))


def test_a_class_too_small_to_be_divided_is_named() -> None:
    labels = [1 if n < 2 else 2 * (n % 2) for n in range(600)]
    with pytest.raises(InputError, match=r"too few texts are labelled neutral .*at least 3"):
        dataset_split(merge_equal(TEXTS, labels))


def test_a_class_of_which_none_is_left_to_train_on_is_named() -> None:
    low = [n for n in range(10_000) if int(text_hash(f"드문 글 {n}"), 16) / 2**64 < 0.1][:4]
    corpus = merge_equal(
        [*TEXTS, *(f"드문 글 {n}" for n in low)], [*[2 * (n % 2) for n in range(600)], 1, 1, 1, 1]
    )
    with pytest.raises(InputError, match=r"neutral.*none is left"):
        dataset_split(corpus)


def test_without_a_test_side_there_is_none() -> None:
    corpus = merge_equal(TEXTS, LABELS)
    split = dataset_split(corpus, validation=0.02, test=0.0)
    assert len(split.test) == 0
    assert not split.pinned
    assert len(np.union1d(split.train, split.validation)) == 600
