from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import ColumnsError, InputError
from trainer.labelled_rows import read_labelled

TEXTS = ["007", "NA", "null", "2020-01-01", '따옴표 " 와\n줄바꿈', "쉼표, 있다"]
LABELS = ["긍정", "중립", "부정", "0", "1", "2"]


def _table() -> pd.DataFrame:
    return pd.DataFrame({"id": range(len(TEXTS)), "text": TEXTS, "label": LABELS})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_a_csv_is_read_in_its_encoding_and_every_text_stays_itself(
    tmp_path: Path, encoding: str
) -> None:
    _table().to_csv(tmp_path / "a.csv", encoding=encoding, index=False)
    rows = read_labelled(tmp_path / "a.csv", "text", "label")
    assert (rows.texts, rows.labels, rows.skipped) == (TEXTS, LABELS, 0)


@pytest.mark.parametrize("suffix", ["tsv", "jsonl", "ndjson", "parquet", "CSV"])
def test_other_kinds_of_files_say_the_same(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        _table().to_parquet(path)
    elif suffix in ("jsonl", "ndjson"):
        _table().to_json(path, orient="records", lines=True, force_ascii=False)
    else:
        _table().to_csv(path, sep="\t" if suffix == "tsv" else ",", index=False)
    rows = read_labelled(path, "text", "label")
    assert (rows.texts, rows.labels, rows.skipped) == (TEXTS, LABELS, 0)


def test_rows_without_text_or_label_are_counted(tmp_path: Path) -> None:
    rows = [
        {"text": "하나", "label": "긍정"},
        {"text": None, "label": "긍정"},
        {"text": "", "label": "긍정"},
        {"text": "둘", "label": None},
        {"text": "셋"},
    ]
    jsonl, csv, parquet = (tmp_path / f"a.{suffix}" for suffix in ("jsonl", "csv", "parquet"))
    jsonl.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    pd.DataFrame(rows).to_csv(csv, index=False)
    pd.DataFrame(rows).to_parquet(parquet)
    for path in (jsonl, csv, parquet):
        found = read_labelled(path, "text", "label")
        assert (found.texts, found.skipped) == (["하나"], 4), path.suffix


def test_numbers_for_labels_are_words(tmp_path: Path) -> None:
    # An integer column in which one is missing comes as 1.0.
    table = pa.table({"text": ["하나", "둘", "셋"], "label": pa.array([0, None, 2.0])})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_labelled(tmp_path / "a.parquet", "text", "label").labels == ["0", "2"]
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "하나", "label": 2}\n{"text": "둘", "label": 1.0}', encoding="utf-8")
    assert read_labelled(path, "text", "label").labels == ["2", "1"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_missing_column_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    table = _table().rename(columns={"label": "mood"})
    if suffix == "csv":
        table.to_csv(path, index=False)
    elif suffix == "jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_parquet(path)
    with pytest.raises(ColumnsError, match=r"no column 'label' among .*'mood'") as raised:
        read_labelled(path, "text", "label")
    assert "mood" not in raised.value.brief


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.xlsx", b"", "a kind of file"),
        ("a.csv", b"", "cannot be read"),
        ("a.csv", b"text,label\n\xff\xff\xff,1\n", "neither UTF-8 nor CP949"),
        ("a.csv", b"text,label\na,b\na,b,c\n", "no CSV .*line 3"),
        ("a.jsonl", b'{"text": "a", "label": "b"}\n["secret"]\n', "line 2 is no JSON object"),
        ("a.jsonl", b"secret\n", "line 1 is no JSON object"),
        ("a.parquet", b"secret", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_line(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as raised:
        read_labelled(path, "text", "label")
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_bytes_that_break_the_encoding_later_on_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\n" + "좋다,긍정\n".encode() * 100_000 + b"\xff,1\n")
    with pytest.raises(InputError, match="not utf-8 all through"):
        read_labelled(path, "text", "label")


@pytest.mark.parametrize("name", ["gone.csv", "gone.parquet", "gone.jsonl"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: no such file"):
        read_labelled(tmp_path / name, "text", "label")
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: cannot be read"):
        read_labelled(tmp_path / name, "text", "label")
