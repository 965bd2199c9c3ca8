"""Files on disk: found, judged, read. Every line here is a file that somebody sends one night."""

from __future__ import annotations

import codecs
import gzip
import json
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from core.errors import ColumnsError, FileNotReadyError, InputError
from producer.columns import ColumnOptions
from producer.crawl import ReadOptions, find_files, read
from producer.rows import Reject
from tests.crawls import SEOUL, posts, write_jsonl

DEFAULTS = ReadOptions()


def _rows(path: Path, options: ReadOptions = DEFAULTS) -> list[Any]:
    """Every row of a file in order: a document as a dict, or a reject."""
    (file,) = find_files([path], options)
    rows: list[tuple[int, Any]] = []
    for block in read(file, SEOUL):
        rows += [(document["row_number"], document) for document in block.documents.to_pylist()]
        rows += [(reject.row_number, reject) for reject in block.rejects]
    return [row for _number, row in sorted(rows, key=lambda row: row[0])]


def _named(**names: Any) -> ReadOptions:
    return ReadOptions(ColumnOptions(**names))


def _number(row: Any) -> int:
    return int(row.row_number if isinstance(row, Reject) else row["row_number"])


def _csv(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_the_same_rows_in_every_format_are_the_same_documents(tmp_path: Path) -> None:
    table = pd.DataFrame(posts(50))
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    table.to_csv(tmp_path / "cp949.csv", index=False, encoding="cp949")
    table.to_csv(tmp_path / "bom.csv", index=False, encoding="utf-8-sig")
    table.to_csv(tmp_path / "utf16.csv", index=False, encoding="utf-16")
    table.to_parquet(tmp_path / "a.parquet")
    write_jsonl(tmp_path / "a.jsonl", posts(50))
    read_back = {path.name: _rows(path) for path in tmp_path.iterdir()}
    assert len(read_back) == 7
    expected = read_back["a.jsonl"]
    assert len(expected) == 50
    assert all(rows == expected for rows in read_back.values())


def test_a_directory_is_its_files_in_order(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.csv", "notes.md"):
        (tmp_path / name).write_text("text\nx" if name == "a.csv" else '{"text": "y"}')
    found = find_files([tmp_path], DEFAULTS)
    assert [file.name for file in found] == ["a.csv", "b.jsonl"]


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("id,text,date", ("text", "id", "date")),
        ("글번호,본문,작성일", ("본문", "글번호", "작성일")),
        (" ID , Review ,x", (" Review ", " ID ", None)),
        ("url,content", ("content", "url", None)),
        ("sentence", ("sentence", None, None)),
    ],
)
def test_columns_are_found_by_name(
    tmp_path: Path, header: str, columns: tuple[str | None, ...]
) -> None:
    path = _csv(tmp_path / "a.csv", header + "\n" + ",".join("1" for _ in header.split(",")))
    (file,) = find_files([path], DEFAULTS)
    assert file.columns is not None
    found = (file.columns.text, file.columns.external_id, file.columns.written_at)
    assert found == columns


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("a,b\n1,2", DEFAULTS, r"no text column among \[a, b\]"),
        ("text,본문\n1,2", DEFAULTS, r"more than one text column among \[text, 본문\]"),
        ("text,b\n1,2", _named(external_id="nr"), r"no column 'nr' among \[text, b\]"),
    ],
)
def test_columns_that_cannot_be_settled_are_listed(
    tmp_path: Path, text: str, options: ReadOptions, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        find_files([_csv(tmp_path / "a.csv", text)], options)


def test_a_named_column_settles_it(tmp_path: Path) -> None:
    path = _csv(tmp_path / "a.csv", "text,본문\n하나,둘")
    (row,) = _rows(path, _named(text="본문"))
    assert row["text"] == "둘"


def test_without_an_id_column_the_key_is_file_and_row(tmp_path: Path) -> None:
    path = _csv(tmp_path / "a.csv", "text\n같은 말\n같은 말")
    one, two = _rows(path)
    assert one["external_id"] != two["external_id"]
    path.rename(tmp_path / "b.csv")
    assert [row["external_id"] for row in _rows(tmp_path / "b.csv")] == [
        one["external_id"],
        two["external_id"],
    ]


def test_bad_rows_are_data(tmp_path: Path) -> None:
    lines = [
        '{"id": 1, "text": "좋다"}',
        "",
        '{"id": 2, "text": ',
        "[1, 2]",
        "null",
        '{"id": 3, "text": null}',
        '{"id": 4, "text": "\\ud83d"}',
        "[" * 100_000,
        '{"id": 5, "text": "첫\u2028줄\u0085"}',
        '{"id": ' + "9" * 5_000 + ', "text": "x"}',
    ]
    rows = _rows(write_jsonl(tmp_path / "a.jsonl", lines))
    codes = Counter(row.code if isinstance(row, Reject) else "accepted" for row in rows)
    assert codes == {"accepted": 4, "bad_json": 1, "not_object": 2, "no_text": 1, "too_deep": 1}
    assert [_number(row) for row in rows] == list(range(1, 10))


def test_csv_rows_with_another_width_or_bad_bytes_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    head = "id,text\n1,좋다\n2,너무,많다\n3\n\n"
    long_enough = "".join(f"{n},보통이다\n" for n in range(100, 60_000))
    path.write_bytes(
        (head + long_enough).encode() + b'4,\xb0\xa1\n5,"\xec\xa2\x8b\n\xeb\x8b\xa4"\n'
    )
    rows = _rows(path)
    rejects = [(row.row_number, row.code) for row in rows if isinstance(row, Reject)]
    last = 3 + 59_900
    assert rejects == [(2, "field_count"), (3, "field_count"), (last + 1, "bad_bytes")]
    assert rows[-1]["text"] == "좋\n다"


def test_cp949_is_told_from_utf8(tmp_path: Path) -> None:
    path = _csv(tmp_path / "a.csv", "본문\n햏햏 좋다\n", "cp949")
    (file,) = find_files([path], DEFAULTS)
    assert file.encoding == "cp949"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"text\n\xff\xfe\xff\x81\n", "neither UTF-8 nor CP949"),
        ("a.parquet", b"PAR1 is only a word", "damaged"),
        ("a.xyz", b"", "not one of"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}.*{words}"):
        find_files([tmp_path / name], DEFAULTS)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        find_files([tmp_path / "gone.csv"], DEFAULTS)
    with pytest.raises(InputError, match="a directory without data"):
        find_files([tmp_path], DEFAULTS)
    for name in ("utf-99", "base64", "rot13"):
        with pytest.raises(InputError, match="no such encoding"):
            find_files([_csv(tmp_path / "a.csv", "text\n")], ReadOptions(encoding=name))
    with pytest.raises(InputError, match="cannot be read"):
        find_files([tmp_path / ("x" * 300 + ".csv")], DEFAULTS)


def test_damage_behind_the_head_of_a_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame(posts(5_000)).to_parquet(path)
    damaged = bytearray(path.read_bytes())
    damaged[1_000:9_000] = bytes(8_000)
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"a\.parquet"):
        _rows(path)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(codecs.BOM_UTF8 if name == "a.csv" else b"\n\n")
    assert _rows(tmp_path / name) == []


def test_json_columns_are_those_of_the_first_thousand(tmp_path: Path) -> None:
    rows = [{"id": n} for n in range(999)] + [{"id": 999, "본문": "여기 있다"}]
    found = _rows(write_jsonl(tmp_path / "a.jsonl", rows))
    assert sum(isinstance(row, dict) for row in found) == 1
    path = write_jsonl(tmp_path / "b.jsonl", [*rows[:-1], {"id": 0}, {"id": 1, "본문": "늦다"}])
    with pytest.raises(InputError, match="no text column"):
        _rows(path)
    assert json.loads(path.read_text().splitlines()[-1])["본문"] == "늦다"


def test_a_file_that_is_still_being_written_is_not_taken_for_whole(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", posts(5))
    (file,) = find_files([path], DEFAULTS)
    with path.open("a") as stream:
        stream.write('{"id": "late", "text": "늦게 온 글"}\n')
    with pytest.raises(FileNotReadyError, match=r"a\.jsonl: was changed while it was read"):
        list(read(file, SEOUL))


def test_the_longest_text_is_a_setting(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "a.jsonl", [{"id": 1, "text": "가나다"}, {"id": 2, "text": "가나다라"}]
    )
    (file,) = find_files([path], DEFAULTS)
    (block,) = read(file, SEOUL, max_text_bytes=9)
    assert block.documents["text"].to_pylist() == ["가나다"]
    assert [(reject.code, reject.row_number) for reject in block.rejects] == [("text_too_long", 2)]


def test_damage_of_a_file_that_grows_meanwhile_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    whole = gzip.compress(("id,text\n" + "".join(f"{n},글 {n}\n" for n in range(200_000))).encode())
    path.write_bytes(whole[: len(whole) // 2])
    (file,) = find_files([path], DEFAULTS)
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(FileNotReadyError, match=r"a\.csv\.gz: was changed"):
        list(read(file, SEOUL))


def test_a_row_that_cannot_be_read_has_its_number_for_an_id_where_the_file_has_none(
    tmp_path: Path,
) -> None:
    good, bad = _rows(_csv(tmp_path / "a.csv", "text,b\n좋다,1\n너무,많은,칸\n"))
    assert good["external_id"].endswith(":1")
    assert bad.external_id == good["external_id"][:-1] + "2"


def test_a_mended_file_brings_its_kept_columns_along(tmp_path: Path) -> None:
    header = ",".join(["id", "text", "written_at", "내용", "reject_code"])
    (row,) = _rows(_csv(tmp_path / "a.csv", f"{header}\n'007,'=글,,자유게시판,bad_time\n"))
    assert (row["external_id"], row["text"]) == ("007", "=글")
    assert row["extra"] == '{"내용": "자유게시판"}'


def test_a_header_taken_apart_by_a_mac_is_found(tmp_path: Path) -> None:
    header = unicodedata.normalize("NFD", "글번호,본문")
    (row,) = _rows(_csv(tmp_path / "a.csv", f"{header}\n1,좋다\n"))
    assert row["text"] == "좋다"


def test_hidden_files_and_locks_in_a_directory_are_passed_over(tmp_path: Path) -> None:
    for name in ("a.csv", "~$a.xlsx", "._a.csv", "b.csv.tmp"):
        (tmp_path / name).write_text("id,text\n1,좋다\n")
    assert [file.name for file in find_files([tmp_path], DEFAULTS)] == ["a.csv"]


def test_columns_are_shown_to_a_person_and_kept_out_of_what_is_stored(tmp_path: Path) -> None:
    with pytest.raises(ColumnsError, match="비밀 본문") as raised:
        _rows(_csv(tmp_path / "a.csv", "1,비밀 본문\n2,또 하나\n"))
    assert raised.value.brief == "a.csv: no text column"
