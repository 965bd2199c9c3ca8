from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.held import hold_line, hold_row
from producer.mending import (
    REJECT_COLUMNS,
    guard,
    is_mending_file,
    mending_cells,
    mending_columns,
    unguard,
)

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
CELLS = st.one_of(ANY_TEXT, st.text("'=+-@\t\r\n 0123456789.,:/eE%가"))
COLUMNS = {"text": "본문", "external_id": "글번호", "written_at": None}


@given(CELLS)
def test_a_guard_is_taken_back(cell: str) -> None:
    assert unguard(guard(cell)) == cell


@given(CELLS)
def test_no_cell_is_run_or_rewritten(cell: str) -> None:
    guarded = guard(cell)
    assert guarded[:1] not in {"=", "+", "-", "@", "\t", "\r"}
    assert not guarded.strip().isdecimal()


@pytest.mark.parametrize(
    ("cell", "guarded"),
    [
        ("", ""),
        ("좋다", "좋다"),
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-", "'-"),
        ("007", "'007"),
        ("2026-11-01 09:30", "'2026-11-01 09:30"),
        ("1.5e10", "'1.5e10"),
        ("3번", "'3번"),
        ("'따옴표", "''따옴표"),
        ("a=1", "a=1"),
        ("12345678901234567", "'12345678901234567"),
        (" 007", "' 007"),
        ("\x0c0", "'\x0c0"),
        (" 좋다", " 좋다"),
    ],
)
def test_guards(cell: str, guarded: str) -> None:
    assert guard(cell) == guarded
    assert unguard(guarded) == cell


@pytest.mark.parametrize("cell", ["'좋다", "'a", "'"])
def test_an_apostrophe_of_the_text_stays(cell: str) -> None:
    """In a file that somebody wrote anew: `guard` puts it before none of these."""
    assert unguard(cell) == cell


def test_a_file_of_rejects_is_known_by_its_columns() -> None:
    assert is_mending_file(mending_columns(["likes"]))
    assert not is_mending_file(["id", "text", *REJECT_COLUMNS[:-1]])


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ({"본문": "좋다", "글번호": "007"}, ["'007", "좋다", ""]),
        ({"본문": "=1", "글번호": 7}, ["'7", "'=1", ""]),
        ({"본문": None, "글번호": None}, ["원래", "", ""]),
        ({"본문": "널\x00 \ud800", "글번호": "a"}, ["a", "널 \ufffd", ""]),
        ({"본문": ["글"], "글번호": 1.5}, ["'1.5", "", ""]),
    ],
)
def test_the_cells_of_a_row(row: dict[str, Any], cells: list[str]) -> None:
    held = hold_row(row)
    assert mending_cells(held.text, COLUMNS, "원래", [], whole=held.whole) == cells


@pytest.mark.parametrize("held", ["깨진 줄", "[1]", "null", '{"본문": "글"', "[" * 5_000])
def test_what_is_no_row_leaves_the_text_empty(held: str) -> None:
    line = hold_line(held)
    assert mending_cells(line.text, COLUMNS, None, ["비고"], whole=line.whole) == [""] * 4


def test_what_was_cut_is_not_sent_again() -> None:
    held = hold_row({"본문": "긴 글" * 5_000, "글번호": "a"})
    assert mending_cells(held.text, COLUMNS, "a", [], whole=held.whole) == ["a", "", ""]


@given(st.lists(st.tuples(CELLS, CELLS), max_size=8))
def test_a_file_of_rejects_comes_back(rows: list[tuple[str, str]]) -> None:
    """Through the file that the command writes and the fields that the reader reads."""
    rows = [(one.replace("\x00", ""), two.replace("\x00", "")) for one, two in rows]
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\r\n").writerows(map(guard, row) for row in rows)
    lines = io.StringIO(stream.getvalue(), newline="").readlines()
    read = [tuple(map(unguard, row)) for row in csv.reader(lines, strict=True)]
    assert read == rows
