from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.text import is_blank, prepare

CASES = [
    ("정말 좋았다", "정말 좋았다"),
    ("  정말\t좋았다\n\n", "정말 좋았다"),
    ("ㅋㅋㅋㅋㅋㅋㅋㅋ 웃겨요!!!!!!", "ㅋㅋㅋ 웃겨요!!!"),
    ("ㅋㅋ 그래요..", "ㅋㅋ 그래요.."),
    ("ㅠㅠㅠㅠㅜㅜㅜㅜ", "ㅠㅠㅠㅜㅜㅜ"),
    ("１００％ 추천！", "100% 추천!"),
    ("전각\u3000공백", "전각 공백"),
    ("재미\u200b있\ufeff어요", "재미있어요"),
    ("최고😊👍🏽예요", "최고 😊 👍 예요"),
    ("가족👨\u200d👩\u200d👧영화", "가족 👨 👩 👧 영화"),
    ("사랑❤\ufe0f해요", "사랑 ❤ 해요"),
    ("채움\u3164\u115f\u1160문자", "채움문자"),
    ("\u3164채움\u3164", "채움"),  # alone among plain Hangul, where it stands in the same block
    ("1234567890 OK 2편", "1234567890 OK 2편"),
    ("Café 좋아요", "Café 좋아요"),
]


@pytest.mark.parametrize(("stored", "read"), CASES)
def test_what_the_model_reads(stored: str, read: str) -> None:
    assert prepare(stored) == read


@pytest.mark.parametrize(("stored", "read"), CASES)
def test_composed_and_decomposed_hangul_are_read_alike(stored: str, read: str) -> None:
    assert prepare(unicodedata.normalize("NFD", stored)) == read


@given(st.text())
def test_preparing_twice_is_preparing_once(text: str) -> None:
    once = prepare(text)
    assert prepare(once) == once


@given(
    st.text(alphabet="가힣ㄱㅋㅎㅠ아b1 !?.~😊❤\u200b\u200d\ufe0f\u3000Ａ！\u1100\u1161\u11a8\u0301")
)
def test_preparing_twice_is_preparing_once_where_rules_meet(text: str) -> None:
    once = prepare(text)
    assert prepare(once) == once
    assert prepare(unicodedata.normalize("NFD", text)) == prepare(
        unicodedata.normalize("NFC", text)
    )


@pytest.mark.parametrize("blank", ["", " \t\r\n", "\u3000", "\u3164\u115f", "\u200b\ufeff \u00a0"])
def test_nothing_to_read_is_blank(blank: str) -> None:
    assert is_blank(blank)


@pytest.mark.parametrize("words", ["ㅋ", ".", "😊", "0"])
def test_the_least_is_something(words: str) -> None:
    assert not is_blank(words)
