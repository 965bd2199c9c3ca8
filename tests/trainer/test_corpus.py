from __future__ import annotations

import time
import tracemalloc
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from trainer.corpus import merge_equal, read_corpus, read_rows


def _write(path: Path, rows: list[tuple[str, str]]) -> Path:
    lines = ["text,label", *(f'"{text}",{label}' for text, label in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_equal_texts_are_merged_by_majority_and_ties_left_out() -> None:
    rows = [
        ("좋다", 2),
        (" 좋다 ", 2),
        ("좋다", 0),
        ("글쎄", 1),
        ("글쎄", 0),
        ("나쁘다", 0),
        (" ", 1),
        ("셋", 0),
        ("셋", 1),
        ("셋", 2),
    ]
    corpus = merge_equal([text for text, _ in rows], [label for _, label in rows])
    assert dict(zip(corpus.texts, corpus.label_ids.tolist(), strict=True)) == {
        "좋다": 2,
        "나쁘다": 0,
    }
    assert (corpus.merged, corpus.ties, corpus.skipped) == (5, 2, 1)


def test_texts_are_equal_as_the_model_reads_them() -> None:
    texts = ["정말 좋다!!!!!!", "정말  좋다!!!", unicodedata.normalize("NFD", "정말 좋다!!!")]
    corpus = merge_equal(texts, [2, 2, 2])
    assert corpus.texts == ["정말 좋다!!!"]
    assert corpus.merged == 2


def test_counts_name_every_class() -> None:
    corpus = merge_equal(["하나", "둘", "셋", "넷"], [0, 2, 2, 2])
    assert corpus.class_counts() == {"negative": 1, "neutral": 0, "positive": 3}
    assert merge_equal([], []).class_counts() == {"negative": 0, "neutral": 0, "positive": 0}


def test_labels_are_read_in_both_languages_and_from_several_files(tmp_path: Path) -> None:
    paths = [
        _write(tmp_path / "a.csv", [("하나", "긍정"), ("둘", " neutral")]),
        _write(tmp_path / "b.csv", [("셋", "Negative"), ("하나", "positive")]),
    ]
    corpus = read_corpus(paths, text_column="text", label_column="label")
    assert corpus.texts == ["하나", "둘", "셋"]
    assert corpus.label_ids.tolist() == [2, 1, 0]
    assert corpus.merged == 1


def test_ids_mean_what_the_map_says(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", [("하나", "0"), ("둘", "1"), ("셋", "positive")])
    corpus = read_corpus(
        [path],
        text_column="text",
        label_column="label",
        label_map={"0": "긍정", "1": "negative"},
    )
    assert corpus.label_ids.tolist() == [2, 0, 2]


def test_ids_without_a_map_are_listed_with_how_to_say_what_they_mean(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", [("하나", "0"), ("둘", "1"), ("셋", "2")])
    with pytest.raises(InputError) as raised:
        read_corpus([path], text_column="text", label_column="label")
    assert "column 'label'" in str(raised.value)
    assert str(raised.value).endswith("--label-map 0=negative,1=neutral,2=positive")


def test_unknown_names_are_listed(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", [("하나", "best"), ("둘", "긍정"), ("셋", "worst")])
    with pytest.raises(InputError, match=r"column 'label' .*긍정\): best, worst$"):
        read_corpus([path], text_column="text", label_column="label")


def test_a_column_of_texts_taken_for_labels_is_not_shown(tmp_path: Path) -> None:
    rows = [(f"이것은 아무에게도 보이지 않을 글 {n}", "긍정") for n in range(40)]
    path = _write(tmp_path / "a.csv", rows)
    with pytest.raises(InputError, match="40 different values") as raised:
        read_corpus([path], text_column="label", label_column="text")
    assert "보이지 않을" not in str(raised.value)
    path = _write(
        tmp_path / "b.csv", [("아주 긴 글이며 아무에게도 보이지 않을 글이어야 한다", "긍정")]
    )
    with pytest.raises(InputError) as raised:
        read_corpus([path], text_column="label", label_column="text")
    assert "보이지 않을" not in str(raised.value)


def test_an_annotation_is_one_vote_like_any_row(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", [("하나", "긍정"), ("둘", "부정"), ("둘", "부정")])
    corpus = read_corpus(
        [path],
        text_column="text",
        label_column="label",
        annotations=[(" 하나", "negative"), ("둘", "positive"), ("셋", "중립")],
    )
    assert dict(zip(corpus.texts, corpus.label_ids.tolist(), strict=True)) == {"둘": 0, "셋": 1}
    assert (corpus.merged, corpus.ties) == (3, 1)


def test_annotations_alone_make_a_corpus() -> None:
    corpus = read_corpus(
        [], text_column="text", label_column="label", annotations=[("하나", "긍정")]
    )
    assert corpus.texts == ["하나"]


def test_rows_are_read_as_they_stand(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", [("하나 ", "긍정"), ("하나 ", "부정")])
    texts, label_ids = read_rows([path], text_column="text", label_column="label")
    assert texts == ["하나 ", "하나 "]
    assert label_ids.tolist() == [2, 0]


@pytest.mark.slow
def test_many_rows_take_little_memory_and_time() -> None:
    texts = [f"{n % 600_000}번째 글은 {'좋다' if n % 3 else '그저 그렇다'}" for n in range(670_000)]
    label_ids = np.arange(670_000) % 3
    tracemalloc.start()
    started = time.process_time()
    corpus = merge_equal(texts, label_ids)
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert corpus.merged == 70_000
    assert peak_mb < 300
    assert time.process_time() - started < 60
