from __future__ import annotations

import csv
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.formats import records as records_module
from producer.formats.records import MAX_UNFIT_LINES, Records, split_records


def _split(text: str, *, width: int = 2, final: bool = True) -> Records:
    lines = io.StringIO(text, newline="").readlines()
    return split_records(lines, ",", width, final=final)


def _words(records: Records) -> list[str]:
    """Each record in order: its fields, or `!` and why it is none."""
    rows = iter(records.rows)
    return [
        f"!{records.refused[place].code}" if place in records.refused else "|".join(next(rows))
        for place in range(records.size)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,좋다\n2,나쁘다\n", ["1|좋다", "2|나쁘다"]),
        ("1,좋다\r2,나쁘다\r\n3,끝", ["1|좋다", "2|나쁘다", "3|끝"]),
        ("1,좋다\n\n\r\n2,나쁘다\n", ["1|좋다", "2|나쁘다"]),
        ('1,"좋\n\n다"\n2,x\n', ["1|좋\n\n다", "2|x"]),
        ('1,"그는 ""최고""라고, 했다"\n', ['1|그는 "최고"라고, 했다']),
        ('1,반쪽"따옴표"\n', ['1|반쪽"따옴표"']),
        ("1,좋다,셋\n2,x\n3\n4,y\n", ["!field_count", "2|x", "!field_count", "4|y"]),
        ('1,"좋다"고\n2,x\n', ["!bad_quote", "2|x"]),
        ('1,"열린 따옴표\n2,x\n3,y\n', ["!open_quote", "2|x", "3|y"]),
        ('1,"열린 따옴표\n2,"닫힌 말"\n3,y\n', ["!bad_quote", "2|닫힌 말", "3|y"]),
        ('1,x\n2,"끝까지', ["1|x", "!open_quote"]),
        ("1,\x00널\n", ["1|\x00널"]),
        ("1,줄\u2028안\x85쪽\x0b\x0c\n", ["1|줄\u2028안\x85쪽\x0b\x0c"]),
        (",\n", ["|"]),
        ("  \n", ["!field_count"]),
        ("", []),
    ],
)
def test_lines_become_records(text: str, expected: list[str]) -> None:
    assert _words(_split(text)) == expected


def test_a_refused_record_has_its_lines() -> None:
    (refused,) = _split('1,"좋\n다",셋\n').refused.values()
    assert refused.line == '1,"좋\n다",셋\n'
    assert refused.message == "3 fields, not 2"


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ('1,x\n2,"아직\n', ['2,"아직\n']),
        ('1,x\n2,"아직\n안 끝난\n', ['2,"아직\n', "안 끝난\n"]),
        ('1,x\n2,"끝"\n', []),
        ('1,"나쁜"것\n2,"아직\n', ['2,"아직\n']),
    ],
)
def test_what_is_not_complete_waits_for_more(text: str, rest: list[str]) -> None:
    assert _split(text, final=False).rest == rest


def test_an_open_quote_does_not_swallow_what_follows_up_to_the_next_quote() -> None:
    """It closes far away by chance: too many fields, so it was no field of that many lines."""
    many = "".join(f"{n},글\n" for n in range(MAX_UNFIT_LINES + 5))
    words = _words(_split(f'1,"열린\n{many}2,닫는 말"\n3,끝\n', width=3, final=True))
    assert words[0] == "!open_quote"
    assert len(words) == MAX_UNFIT_LINES + 8


def test_an_open_quote_waits_no_longer_than_a_row_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "MAX_WAIT_CHARACTERS", 100)
    text = '1,"열린\n' + "2,글\n" * 30
    records = _split(text, final=False)
    assert _words(records) == ["!open_quote", *["2|글"] * 30]
    assert records.rest == []


@pytest.mark.parametrize("line", ['a","b\n', '"x"y,1\n', 'x,"\n', '"\n'])
@pytest.mark.parametrize("final", [True, False])
def test_a_file_of_nothing_but_open_quotes_ends(
    line: str, final: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_module, "MAX_WAIT_CHARACTERS", 1_000)
    monkeypatch.setattr(records_module, "LONG_WAIT_LINES", 1 << 30)
    begun = time.process_time()
    records = split_records([line] * 30_000, ",", 2, final=final)
    assert time.process_time() - begun < 20
    assert len(records.rest) <= 1_000


def test_behind_a_long_wait_the_lines_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "LONG_WAIT_LINES", 3)
    records = _split('1,x\n2,"열린\n3,a\n4,b\n5,c\n6,d\n')
    assert _words(records) == ["1|x", "!open_quote"]
    assert records.left == ["3,a\n", "4,b\n", "5,c\n", "6,d\n"]


@given(
    st.lists(
        st.lists(st.text("가a ,\"\n\r\t\x00'", max_size=6), min_size=2, max_size=2), max_size=20
    )
)
def test_what_was_written_is_read(rows: list[list[str]]) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows(rows)
    records = _split(stream.getvalue())
    assert records.rows == rows
    assert not records.refused


@given(st.text('가,"\n\r;', max_size=60), st.integers(1, 3), st.integers(0, 60))
def test_no_line_is_lost_wherever_the_text_is_cut(text: str, width: int, at: int) -> None:
    """In two pieces it comes to as many records, or all of what is missing is one open quote."""
    lines = io.StringIO(text, newline="").readlines()
    cut = min(at, len(lines))
    first = split_records(lines[:cut], ",", width, final=False)
    then = split_records([*first.rest, *lines[cut:]], ",", width, final=True)
    whole = split_records(lines, ",", width, final=True)
    assert _words(first) + _words(then) == _words(whole)


@pytest.mark.parametrize("rows", [60, 12_000])
def test_a_stray_quote_far_below_does_not_make_one_row_of_all_between(rows: int) -> None:
    plain = "".join(f"{n},{n}번째 글이다\n" for n in range(1, rows + 1))
    records = _split('0,"열린 따옴표\n' + plain + f'{rows + 1},모니터 27"\n', final=True)
    assert len(records.rows) >= rows
    assert len(records.refused) == 1


def test_a_long_post_in_quotes_is_one_row() -> None:
    post = "".join(f"{n}번째 줄, 그리고 {'쉼표, ' * (n % 4)}\n" for n in range(500))
    records = _split(f'1,"{post}"\n2,다음\n', final=True)
    assert [row[0] for row in records.rows] == ["1", "2"]
