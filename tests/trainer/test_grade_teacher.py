"""The teacher of grades: asked of texts that it has not learnt from, it answers by label."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.grade_teacher import PARTS, READINGS, Reading, grade_answers
from trainer.grades import Grades, labels_as_grades
from trainer.teacher import split_parts

GOOD, BAD, PLAIN = "정말 재밌었다", "너무 지루했다", "그냥 그랬다"
TEXTS = [f"{n}번째 영화는 {words}" for n in range(200) for words in (BAD, PLAIN, GOOD)]
LABELS = np.array([label for _ in range(200) for label in (0, 1, 2)], np.int64)


@pytest.fixture(autouse=True)
def _more_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.grade_teacher.EPOCHS", 40)  # two batches each


@pytest.mark.parametrize("reading", READINGS)
def test_it_knows_the_words_and_each_row_sums_to_one(reading: Reading) -> None:
    said = grade_answers(TEXTS, labels_as_grades(LABELS), reading, 1, 0)
    assert (said.argmax(axis=1) == LABELS).all()
    np.testing.assert_allclose(said.sum(axis=1), 1.0, rtol=1e-5)


def test_the_grades_of_a_label_are_summed() -> None:
    stars = np.eye(6, dtype=np.float32)[LABELS * 2 + np.arange(len(TEXTS)) % 2]
    grades = Grades(stars, np.array([0, 0, 1, 1, 2, 2]))
    said = grade_answers(TEXTS, grades, READINGS[0], 1, 0)
    assert said.shape == (len(TEXTS), 3)
    # No grade alone can be sure of more than half: the two of a label are in it.
    assert said[np.arange(len(TEXTS)), LABELS].min() > 0.55


def test_a_text_is_asked_of_a_teacher_that_has_not_seen_its_label() -> None:
    wrong = LABELS.copy()
    wrong[7] = (wrong[7] + 1) % 3
    before, after = (
        grade_answers(TEXTS, labels_as_grades(labels), READINGS[0], 1, 0)
        for labels in (LABELS, wrong)
    )
    sides = split_parts(len(TEXTS), 0, PARTS)
    same = sides[7] == sides
    np.testing.assert_allclose(after[same], before[same], atol=1e-6)
    assert np.abs(after - before)[~same].max() > 1e-4  # these were asked of one that saw it


def test_the_same_seed_says_the_same() -> None:
    first, again, other = (
        grade_answers(TEXTS, labels_as_grades(LABELS), READINGS[0], 1, seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_rounds_halve_the_texts_anew_and_their_mean_is_said() -> None:
    grades = labels_as_grades(LABELS)
    first, second = (grade_answers(TEXTS, grades, READINGS[0], 1, seed) for seed in (3, 4))
    both = grade_answers(TEXTS, grades, READINGS[0], 2, 3)
    np.testing.assert_allclose(both, (first + second) / 2, rtol=1e-6)
