from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from cli import output
from cli.output import _Lines, make_result, make_table


def _shown(*rows: tuple[object, ...]) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=100).print(make_table(("감성", "n", "text"), rows))
    return stream.getvalue().rstrip("\n").split("\n")


def test_hangul_lines_up() -> None:
    lines = _shown(("부정", 5, "짧다"), ("아주 긍정적인", 12345, "조금 더 긴 글"))
    assert {cell_len(line) for line in lines} == {cell_len(lines[0])}
    starts = {
        cell_len(line.partition(word)[0])
        for line, word in zip(lines[1:], ("짧다", "조금"), strict=True)
    }
    assert len(starts) == 1
    assert "12,345" in lines[2]


def test_what_looks_like_markup_is_text() -> None:
    assert "[bold]굵게[/bold] [/]" in _shown(("a", 1, "[bold]굵게[/bold] [/]"))[1]


def test_line_breaks_do_not_break_a_row() -> None:
    assert "첫 줄 둘째 줄" in _shown(("a", 1, "첫 줄\n둘째 줄"))[1]


def test_what_would_steer_a_terminal_is_shown_as_a_mark() -> None:
    assert "빨강\ufffd[31m\ufffd" in _shown(("a", 1, "빨강\x1b[31m\u202e"))[1]


def _result(columns: list[str], row: list[object]) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=60).print(make_result(columns, [row, row], width=60))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_result_that_fits_is_a_table_and_a_long_text_is_folded_in_it() -> None:
    lines = _result(["n", "text"], [1, "가나다 " * 20])
    assert lines[0] == "n  text"
    assert max(map(cell_len, lines)) <= 60


def test_a_result_too_wide_for_a_table_is_shown_row_below_row() -> None:
    columns = [f"column_{place}" for place in range(8)]
    lines = _result(columns, ["2026-11-25T12:56:49", 12_345, None, "[b]", *range(4)])
    assert lines[:5] == [
        "row 1",
        "column_0  2026-11-25T12:56:49",
        "column_1  12,345",
        "column_2",
        "column_3  [b]",
    ]
    assert lines[9] == "row 2"


def test_a_result_without_rows_shows_its_columns() -> None:
    stream = io.StringIO()
    Console(file=stream, width=60).print(make_result(["n", "text"], [], width=60))
    assert stream.getvalue().split() == ["n", "text"]


def test_plain_progress_is_a_line_every_ten_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(101))
    monkeypatch.setattr(output.time, "monotonic", lambda: float(next(clock)))
    lines = _Lines()
    for done in range(101):
        lines.show("loading", done, 100, f"{done} rows")
    said = capsys.readouterr().err.splitlines()
    assert said == [f"loading: {n} rows" for n in range(0, 101, 10)]


def test_plain_progress_says_when_something_else_begins(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _Lines()
    lines.show("loading", 1, 2)
    lines.show("loading", 1, 2)
    lines.show("scoring", 0, 1_000)
    lines.show("scoring", 1_000, 1_000)
    assert capsys.readouterr().err.splitlines() == [
        "loading: 1 of 2",
        "scoring: 0 of 1,000",
        "scoring: 1,000 of 1,000",
    ]
