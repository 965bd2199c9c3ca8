"""The teacher's answers: of texts that it has not learnt from, mixed with the labels."""

from __future__ import annotations

import numpy as np

from trainer.teacher import PARTS, mix_targets, spelling_answers, split_parts

GOOD, BAD, PLAIN = "정말 재밌었다", "너무 지루했다", "그냥 그랬다"
TEXTS = [f"{n}번째 영화는 {words}" for n in range(40) for words in (BAD, PLAIN, GOOD)]
LABELS = np.array([label for _ in range(40) for label in (0, 1, 2)], np.int64)
SIDES = split_parts(len(TEXTS), 0)


def test_it_knows_the_words_and_each_row_sums_to_one() -> None:
    said = spelling_answers(TEXTS, LABELS, SIDES)
    assert (said.argmax(axis=1) == LABELS).all()
    np.testing.assert_allclose(said.sum(axis=1), 1.0, rtol=1e-5)


def test_a_text_is_asked_of_a_teacher_that_has_not_seen_its_label() -> None:
    wrong = LABELS.copy()
    wrong[7] = (wrong[7] + 1) % 3
    before, after = (spelling_answers(TEXTS, labels, SIDES) for labels in (LABELS, wrong))
    same = SIDES[7] == SIDES
    np.testing.assert_allclose(after[same], before[same], atol=1e-6)
    assert np.abs(after - before)[~same].max() > 1e-3  # these were asked of one that saw it


def test_parts_are_about_equal_and_of_the_seed() -> None:
    parts = split_parts(10_000, 3)
    assert np.bincount(parts, minlength=PARTS).min() > 4_800
    np.testing.assert_array_equal(parts, split_parts(10_000, 3))
    assert (parts != split_parts(10_000, 4)).any()


def test_the_label_keeps_the_rest() -> None:
    answers = np.full((2, 3), 1 / 3)
    mixed = mix_targets(np.array([0, 2], np.int64), answers, 0.6)
    np.testing.assert_allclose(mixed, [[0.6, 0.2, 0.2], [0.2, 0.2, 0.6]], atol=1e-6)


def test_a_class_that_no_teacher_saw_is_never_said() -> None:
    said = spelling_answers(TEXTS, np.where(LABELS == 1, 0, LABELS), SIDES)
    assert (said[:, 1] == 0).all()
