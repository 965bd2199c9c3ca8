from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest

from cli import export
from cli.export import write_csv, write_file, write_json
from core.errors import InputError
from db.query import Result

ROW = ("=1+1", Decimal("0.2500"), 7, None, date(2026, 11, 1), {"a": "가"}, "줄\n바꿈\x0b")
COLUMNS = ["text", "share", "n", "none", "day", "json", "control"]


def _result(*rows: tuple[object, ...]) -> Result:
    return Result(COLUMNS, iter(rows or (ROW,)))


def test_json_is_one_array_whatever_the_rows() -> None:
    for rows in ([], [ROW], [ROW, ROW]):
        stream = io.StringIO()
        assert write_json(Result(COLUMNS, iter(rows)), stream) == len(rows)
        parsed = json.loads(stream.getvalue())
        assert len(parsed) == len(rows)
    assert parsed[0]["share"] == 0.25
    assert parsed[0]["day"] == "2026-11-01"


def test_json_holds_whatever_a_query_gives() -> None:
    row = (float("nan"), Decimal("Infinity"), [datetime(2026, 11, 1, tzinfo=UTC), 1.5], {"a": [1]})
    stream = io.StringIO()
    write_json(Result(["a", "a", "b", "a"], iter([row])), stream)
    (parsed,) = json.loads(stream.getvalue())
    assert parsed == {
        "a": None,
        "a_2": None,
        "b": ["2026-11-01T00:00:00+00:00", 1.5],
        "a_3": {"a": [1]},
    }


def test_a_query_that_breaks_off_leaves_the_earlier_file(tmp_path: Path) -> None:
    def breaking() -> Iterator[tuple[object, ...]]:
        yield ("x",)
        raise InputError("division by zero")

    for name in ("a.csv", "a.xlsx"):
        (tmp_path / name).write_text("earlier")
        with pytest.raises(InputError, match="division"):
            write_file(Result(["text"], breaking()), tmp_path / name)
        assert (tmp_path / name).read_text() == "earlier"
    assert len(list(tmp_path.iterdir())) == 2


def test_csv_on_stdout_is_the_data_as_they_are() -> None:
    stream = io.StringIO()
    write_csv(_result(), stream)
    assert stream.getvalue().splitlines()[1].startswith("=1+1,0.2500,7,,2026-11-01,")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_a_csv_for_excel_runs_nothing(tmp_path: Path, start: str) -> None:
    write_file(Result(["text"], iter([(start + "x",)])), tmp_path / "a.csv")
    content = (tmp_path / "a.csv").read_text(encoding="utf-8-sig")
    assert f"'{start}x" in content


def test_a_sheet_holds_texts_as_texts_and_numbers_as_numbers(tmp_path: Path) -> None:
    local = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
    assert write_file(_result((*ROW[:4], local, *ROW[5:])), tmp_path / "a.xlsx") == 1
    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx").active
    assert sheet is not None
    text, share, n, none, day, nested, control = next(sheet.iter_rows(min_row=2))
    assert (text.value, text.data_type) == ("=1+1", "s")
    assert (share.value, n.value, none.value) == (0.25, 7, None)
    assert day.value == datetime(2026, 11, 1, 9, 30)
    assert nested.value == '{"a": "가"}'
    assert control.value == "줄\n바꿈"


def test_more_rows_than_a_sheet_holds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "EXCEL_ROWS", 3)
    assert write_file(_result(ROW, ROW), tmp_path / "a.xlsx") == 2
    with pytest.raises(InputError, match="an Excel sheet holds 2 rows"):
        write_file(_result(ROW, ROW, ROW), tmp_path / "b.xlsx")


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_file(_result(), tmp_path / "gone" / "a.csv")
