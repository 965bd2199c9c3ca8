from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.held import MAX_HELD_BYTES, Held, hold_line, hold_row

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
_LENGTHS = st.sampled_from([1, 1, 1, 50, 400, 3_000])
_TEXTS = st.builds(lambda text, times: text * times, ANY_TEXT, _LENGTHS)


def _check(held: Held) -> None:
    assert len(held.text.encode()) <= MAX_HELD_BYTES
    assert "\x00" not in held.text


@given(_TEXTS)
def test_any_line_fits(line: str) -> None:
    held = hold_line(line)
    _check(held)
    if held.whole and line.isascii():
        assert held.text == line.replace("\x00", "")


@given(st.dictionaries(_TEXTS, st.one_of(_TEXTS, st.none(), st.floats(), st.lists(_TEXTS))))
def test_any_row_fits(row: dict[str, Any]) -> None:
    held = hold_row(row)
    _check(held)
    if held.whole:
        assert list(json.loads(held.text)) == list(row)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("좋다", "좋다"),
        ("x\udcb0\udcff", r"x\xb0\xff"),
        ("널\x00", "널"),
        ("반쪽 \ud83d", "반쪽 \ufffd"),
        ("가" * 5_000, "가" * (MAX_HELD_BYTES // 3)),
    ],
)
def test_a_line_is_shown_as_it_was(line: str, text: str) -> None:
    held = hold_line(line)
    assert held == Held(text, whole=len(line) < 5_000)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({}, "{}"),
        ({"id": 1, "text": None}, '{"id": 1, "text": null}'),
        ({"text": "널\x00"}, '{"text": "널\\u0000"}'),
        ({"text": "x\udcb0"}, '{"text": "x\\\\xb0"}'),
        ({"text": "\ud83d"}, '{"text": "\\ud83d"}'),
        ({"n": float("nan")}, '{"n": NaN}'),
        ({"t": b"x"}, '{"t": "b\'x\'"}'),
    ],
)
def test_a_row_is_shown_by_its_columns(row: dict[str, Any], text: str) -> None:
    assert hold_row(row) == Held(text)


def test_the_longest_values_are_cut_alike_and_no_other() -> None:
    held = hold_row({"id": "글-1", "text": "가" * 9_000, "html": "나" * 9_000, "n": 7})
    row = json.loads(held.text)
    assert not held.whole
    assert (row["id"], row["n"]) == ("글-1", "7")
    assert len(row["text"]) == len(row["html"]) > 650
    assert len(held.text.encode()) > MAX_HELD_BYTES - 10


@pytest.mark.parametrize(
    "row",
    [
        {str(n): "글" for n in range(100_000)},
        {f"열 {n}": "글" * 20_000 for n in range(300)},
        {"이름" * 9_000: "글"},
        {"text": ["글"] * 1_000_000},
    ],
)
def test_a_row_of_any_size_is_held_soon(row: dict[str, Any]) -> None:
    begun = time.process_time()
    held = hold_row(row)
    assert time.process_time() - begun < 10
    _check(held)
    assert not held.whole


def test_a_value_nested_without_end_is_held() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert "nested too deep" in hold_row({"text": value}).text
