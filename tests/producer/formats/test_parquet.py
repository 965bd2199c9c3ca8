from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from core.errors import InputError
from producer.columns import ColumnOptions
from producer.crawl import ReadOptions, find_files, read
from producer.formats import parquet
from tests.crawls import SEOUL
from tests.producer.reading import outcomes, rejects_of


def _file(tmp_path: Path, columns: dict[str, Any], **options: Any) -> Path:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pa.table(columns), path, **options)
    return path


def _documents(path: Path, *keep: str) -> list[dict[str, Any]]:
    (file,) = find_files([path], ReadOptions(ColumnOptions(keep=keep)))
    return [row for block in read(file, SEOUL) for row in block.documents.to_pylist()]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"row_group_size": 3},
        {"compression": "zstd", "use_dictionary": False},
        {"compression": "none", "data_page_version": "2.0"},
        {"compression": "gzip", "version": "1.0"},
    ],
)
def test_every_way_to_write_comes_to_the_same(tmp_path: Path, options: dict[str, Any]) -> None:
    texts = ["좋다", None, "", "둘\n줄", "반복", "반복", "끝"]
    path = _file(tmp_path, {"id": list(range(7)), "text": texts}, **options)
    assert outcomes(path) == ["좋다", "!no_text", "!empty_text", "둘\n줄", "반복", "반복", "끝"]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
def test_texts_of_every_type_of_string(tmp_path: Path, kind: pa.DataType) -> None:
    path = _file(tmp_path, {"text": pa.array(["좋다", None, "나쁘다"]).cast(kind)})
    assert outcomes(path) == ["좋다", "!no_text", "나쁘다"]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1]),
        pa.array([1.5]),
        pa.array([True]),
        pa.array([b"x"]),
        pa.array([["x"]]),
        pa.array([{"a": "x"}]),
        pa.array([Decimal("1.5")]),
        pa.array([datetime(2026, 11, 1)]),
    ],
)
def test_what_is_no_string_is_rejected(tmp_path: Path, values: pa.Array) -> None:
    assert outcomes(_file(tmp_path, {"text": values})) == ["!text_not_string"]


def test_strings_that_are_not_utf8_are_rejected(tmp_path: Path) -> None:
    texts = pa.array(["좋다".encode(), b"\xff", b"\xed\xa0\x80", b""]).view(pa.string())
    path = _file(tmp_path, {"id": ["a", "b", "c", "d"], "text": texts})
    assert outcomes(path) == ["좋다", "!bad_bytes", "!bad_bytes", "!empty_text"]


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (pa.array(["001", "글-2"]), ["001", "글-2"]),
        (pa.array([1, 2**62]), ["1", str(2**62)]),
        (pa.array([2**64 - 1, 0], pa.uint64()), [str(2**64 - 1), "0"]),
        (pa.array([7.0, 1.5]), ["7", "1.5"]),
        (pa.array([Decimal("1.50"), Decimal("2.00")]), ["1.50", "2.00"]),
    ],
)
def test_ids_are_text(tmp_path: Path, values: pa.Array, ids: list[str]) -> None:
    path = _file(tmp_path, {"id": values, "text": ["하나", "둘"]})
    assert [row["external_id"] for row in _documents(path)] == ids


def test_every_row_group_may_have_a_dictionary_of_its_own(tmp_path: Path) -> None:
    texts = ["하나", "둘", "셋", "하나", "넷"]
    kind = pa.dictionary(pa.int32(), pa.string())
    path = tmp_path / "a.parquet"
    with pyarrow.parquet.ParquetWriter(path, pa.schema([("text", kind)])) as writer:
        for some in (texts[:2], texts[2:]):
            writer.write_table(pa.table({"text": pa.array(some).dictionary_encode()}))
    assert outcomes(path) == texts


def test_blocks_are_bounded_in_rows_and_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "BLOCK_BYTES", 100_000)
    texts = ["짧다"] * 20_000 + ["긴 글" * 2_000] * 300
    path = _file(tmp_path, {"text": texts}, row_group_size=100_000)
    (file,) = find_files([path], ReadOptions())
    sizes = [block.rows for block in read(file, SEOUL)]
    assert sum(sizes) == 20_300
    assert max(sizes) < 10_000
    assert sizes[-1] <= 64


def test_only_the_columns_that_are_read_are_read(tmp_path: Path) -> None:
    columns = {"text.x": ["아니다"], "text": ["좋다"], "": [1], "두 칸": [None]}
    path = _file(tmp_path, columns)
    assert outcomes(path) == ["좋다"]
    (row,) = _documents(path, "text.x", "")
    assert row["extra"] == '{"text.x": "아니다", "": 1}'


def test_a_reject_shows_its_row(tmp_path: Path) -> None:
    path = _file(tmp_path, {"id": ["a"], "text": [None], "other": [1]}, row_group_size=1)
    (reject,) = rejects_of(path, ReadOptions(ColumnOptions(keep=("other",))))
    assert reject.held.text == '{"text": null, "id": "a", "other": 1}'


def test_a_file_without_rows_has_none(tmp_path: Path) -> None:
    assert outcomes(_file(tmp_path, {"text": pa.array([], pa.string())})) == []


@pytest.mark.parametrize("cut", [0, 1, 4, 100, -1, -9])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, cut: int) -> None:
    path = _file(tmp_path, {"text": [f"{n}번째 글" for n in range(500)]})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"^a\.parquet: damaged"):
        outcomes(path)


def test_damage_in_a_later_row_group_says_behind_which_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "BLOCK_ROWS", 64)
    texts = [f"{n}번째 글" for n in range(2_000)]
    path = _file(tmp_path, {"text": texts}, row_group_size=500, use_dictionary=False)
    place = pyarrow.parquet.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[place : place + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"^a\.parquet: breaks off after row [\d,]+ \("):
        outcomes(path)
