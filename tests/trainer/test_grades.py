"""Grades of texts: read beside the labels, shared out where a text has several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import ColumnsError, InputError
from trainer.grades import labels_as_grades, read_grades

TEXTS = ["지루했다", "그냥 그랬다", "재미있었다"]
LABELS = np.array([0, 1, 2], np.int64)


def _write(path: Path, rows: list[tuple[str, int | None]]) -> Path:
    frame = pd.DataFrame(rows, columns=["text", "stars"]).astype({"stars": "Int64"})
    frame.to_parquet(path)
    return path


def test_a_grade_belongs_to_the_label_that_most_of_its_texts_have(tmp_path: Path) -> None:
    rows = [("지루했다", 1), ("그냥 그랬다", 7), ("재미있었다", 10), ("재미있었다", 7)]
    path = _write(tmp_path / "rows.parquet", [*rows, ("재미있었다", 10), ("남의 글", 3)])
    grades = read_grades(path, "text", "stars", TEXTS, LABELS)
    # In the order of their words: 1, 10, 3 (which no text of ours has), 7.
    expected = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 2 / 3, 0, 1 / 3]], np.float32)
    np.testing.assert_allclose(grades.shares, expected, atol=1e-6)
    assert grades.label_ids[[0, 1, 3]].tolist() == [0, 2, 1]


def test_texts_are_found_as_they_were_prepared(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.parquet", [("  재미있었다 ", 9)])
    grades = read_grades(path, "text", "stars", ["재미있었다"], LABELS[2:])
    assert grades.shares.tolist() == [[1.0]]


def test_a_text_without_a_grade_is_one_line(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.parquet", [(text, 5) for text in TEXTS[:2]] + [(TEXTS[2], None)])
    with pytest.raises(InputError, match="1 texts have nothing in column 'stars'"):
        read_grades(path, "text", "stars", TEXTS, LABELS)
    with pytest.raises(ColumnsError):
        read_grades(path, "text", "points", TEXTS, LABELS)


def test_labels_are_grades_where_there_are_no_others() -> None:
    grades = labels_as_grades(LABELS)
    np.testing.assert_array_equal(grades.shares, np.eye(3))
    np.testing.assert_array_equal(grades.label_ids, [0, 1, 2])
