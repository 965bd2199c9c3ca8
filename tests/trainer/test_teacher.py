"""The teacher's answers: of texts that it has not learnt from, mixed with the labels."""

from __future__ import annotations

import numpy as np

from trainer.teacher import teach

GOOD, BAD, PLAIN = "정말 재밌었다", "너무 지루했다", "그냥 그랬다"
TEXTS = [f"{n}번째 영화는 {words}" for n in range(40) for words in (BAD, PLAIN, GOOD)]
LABELS = np.array([label for _ in range(40) for label in (0, 1, 2)], np.int64)


def test_it_knows_the_words_and_each_row_sums_to_one() -> None:
    parts: list[tuple[int, int]] = []
    said = teach(TEXTS, LABELS, share=1.0, seed=0, on_part=lambda *part: parts.append(part))
    assert (said.argmax(axis=1) == LABELS).all()
    np.testing.assert_allclose(said.sum(axis=1), 1.0, rtol=1e-5)
    assert parts == [(1, 3), (2, 3), (3, 3)]


def test_a_text_is_asked_of_a_teacher_that_has_not_seen_its_label() -> None:
    wrong = LABELS.copy()
    wrong[7] = 2 - wrong[7] if wrong[7] != 1 else 0
    before, after = (teach(TEXTS, labels, share=1.0, seed=0) for labels in (LABELS, wrong))
    np.testing.assert_allclose(after[7], before[7], atol=1e-6)
    assert np.abs(after - before).max() > 1e-3  # of the others, it has learnt from this one


def test_the_label_keeps_the_rest() -> None:
    teacher, mixed = (teach(TEXTS, LABELS, share=share, seed=0) for share in (1.0, 0.25))
    np.testing.assert_allclose(mixed, 0.25 * teacher + 0.75 * np.eye(3)[LABELS], atol=1e-6)


def test_a_class_that_no_teacher_saw_is_never_said() -> None:
    said = teach(TEXTS, np.where(LABELS == 1, 0, LABELS), share=1.0, seed=0)
    assert (said[:, 1] == 0).all()
