from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from core.errors import InputError
from producer.columns import ColumnOptions
from producer.crawl import ReadOptions
from producer.formats import decoded, json_lines
from producer.formats.json_lines import JsonLinesReader
from tests.producer.reading import outcomes, outcomes_of, rejects_of


def _file(tmp_path: Path, *lines: str | bytes, name: str = "a.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(b"\n".join(x if isinstance(x, bytes) else x.encode() for x in lines))
    return path


GOOD = '{"id": "a", "text": "좋다"}'


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (GOOD, "좋다"),
        ('  {"id": 1, "text": "좋다"}  \r', "좋다"),
        ('{"text": "첫\u2028줄\u0085안", "id": 1}', "첫\u2028줄\u0085안"),
        ('{"id": 1, "text": "\\ud83d\\ude42"}', "🙂"),
        ('{"id": 1, "text": "반쪽 \\ud83d"}', "반쪽 \ufffd"),
        ('{"id": 1, "text": "널\\u0000"}', "널"),
        ('{"id": 1, "text": "\\u1112\\u1161"}', "\u1112\u1161"),
        ('{"id": 1, "text": "\\udcff"}', "\ufffd"),
        ('{"id": 1, "text": "하나", "text": "둘"}', "둘"),
        ('{"id": 1, "text": null}', "!no_text"),
        ('{"id": 1}', "!no_text"),
        ('{"id": 1, "text": NaN}', "!no_text"),
        ('{"id": 1, "text": 12}', "!text_not_string"),
        ('{"id": 1, "text": 1.5}', "!text_not_string"),
        ('{"id": 1, "text": Infinity}', "!text_not_string"),
        ('{"id": 1, "text": 1e9999999999999999999}', "!text_not_string"),
        ('{"id": 1, "text": ["글"]}', "!text_not_string"),
        ('{"id": 1, "text": true}', "!text_not_string"),
        ('{"id": 1, "text": "\u3164 \u200b"}', "!empty_text"),
        ('{"id": null, "text": "좋다"}', "!no_id"),
        ('{"id": Infinity, "text": "좋다"}', "!no_id"),
        ('{"id": 1e9999999999999999999, "text": "좋다"}', "!no_id"),
        ('{"id": {}, "text": "좋다"}', "!no_id"),
        ('{"id": 1, "text": "좋다", "x": 1e-9999999999999999999}', "좋다"),
        ('{"id": 1, "text": "좋다", "x": ' + "9" * 5_000 + "}", "좋다"),
        ('{"id": 1, "text": "좋다", "x": ' + "[" * 99 + "]" * 99 + "}", "좋다"),
        ('{"id": 1, "text": "좋다", "x": ' + "[" * 100 + "]" * 100 + "}", "!too_deep"),
        ('{"id": 1, "text": "좋다", "x": "' + "[" * 200 + '"}', "좋다"),
        ("[" * 100_000, "!too_deep"),
        ('{"id": ' + "9" * 5_000 + ', "text": }', "!bad_json"),
        ('{"id": 1e9999999999999999999 "text"}', "!bad_json"),
        ('{"id": 1, "text": "좋다"', "!bad_json"),
        ('{"id": 1, "text": "좋다"} {"id": 2}', "!bad_json"),
        ("{'id': 1}", "!bad_json"),
        ('{"id": 1, "text": "탭\t"}', "!bad_json"),
        ("좋다", "!bad_json"),
        ("null", "!not_object"),
        ("[1, 2]", "!not_object"),
        ('"글"', "!not_object"),
        ("12", "!not_object"),
        ('{"id": 1, "text": "좋다", "time": "어제"}', "좋다"),
        (b'{"id": 1, "text": "\xff"}', "!bad_bytes"),
        (b'{"id": 1, "text": "\xed\xa0\x80"}', "!bad_bytes"),
        (b'{"id": 1, "text": "x", "y": "\xff"}', "!bad_bytes"),
        (b"\xff", "!bad_bytes"),
    ],
)
def test_a_line_is_a_row(tmp_path: Path, line: str | bytes, expected: str) -> None:
    path = _file(tmp_path, b"\xef\xbb\xbf" + GOOD.encode(), line, GOOD)
    assert outcomes(path) == ["좋다", expected, "좋다"]


@pytest.mark.parametrize("lines", [(), ("",), ("", " \t", "\r", "")])
def test_blank_lines_are_no_rows(tmp_path: Path, lines: tuple[str, ...]) -> None:
    assert outcomes(_file(tmp_path, *lines)) == []
    assert outcomes(_file(tmp_path, *lines, GOOD, *lines, GOOD)) == ["좋다", "좋다"]


def test_a_reject_says_what_and_where(tmp_path: Path) -> None:
    (reject,) = rejects_of(_file(tmp_path, GOOD, "", '{"id": 1, "text": 글}'))
    assert (reject.row_number, reject.code) == (2, "bad_json")
    assert reject.message == "not JSON: Expecting value at column 19"
    assert reject.held.text == '{"id": 1, "text": 글}'
    assert reject.held.whole


def test_the_columns_are_the_keys_of_the_first_thousand_objects(tmp_path: Path) -> None:
    some = ['{"id": 1}', "null", "깨진", ""] * 333
    assert outcomes(_file(tmp_path, *some, GOOD))[-1] == "좋다"
    with pytest.raises(InputError, match=r"no text column among \[id\]"):
        outcomes(_file(tmp_path, *some * 4, GOOD))


def test_the_columns_are_looked_for_in_so_much_text_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "COLUMN_SAMPLE_CHARACTERS", 1_000)
    monkeypatch.setattr(decoded, "READ_BYTES", 100)
    filler = ['{"id": 1}'] * 50
    assert outcomes(_file(tmp_path, *filler, GOOD))[-1] == "좋다"
    with pytest.raises(InputError, match="no text column"):
        outcomes(_file(tmp_path, *filler * 3, GOOD))


def test_blank_lines_by_the_million_are_not_kept() -> None:
    reader = JsonLinesReader(io.BytesIO(b"\n" * (4 << 20) + GOOD.encode()), "utf-8")
    assert sum(len(piece.text) for piece in reader._ahead) < 1 << 20
    assert outcomes_of(reader) == ["좋다"]


def test_a_line_that_is_too_long_costs_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded, "READ_BYTES", 64)
    monkeypatch.setattr(decoded, "MAX_ROW_CHARACTERS", 200)
    long = json.dumps({"id": 2, "text": "긴 " * 300}, ensure_ascii=False)
    path = _file(tmp_path, GOOD, long, GOOD, long)
    assert outcomes(path) == ["좋다", "!row_too_long", "좋다", "!row_too_long"]


def test_what_no_column_names_may_be_missing(tmp_path: Path) -> None:
    path = _file(tmp_path, GOOD, '{"id": "b", "text": "x", "likes": 3}')
    assert outcomes(path, ReadOptions(ColumnOptions(keep=("likes",)))) == ["좋다", "x"]


def test_a_json_file_of_objects_is_json_lines(tmp_path: Path) -> None:
    assert outcomes(_file(tmp_path, "", GOOD, "깨진", GOOD, name="a.json")) == [
        *("좋다", "!bad_json", "좋다")
    ]
