from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.storable import printable, storable, storable_json

ANY_TEXT = st.text(st.characters(exclude_categories=()))
ODD_TEXT = st.text("가a\x00\ufeff\ufffe\ud83d\ude42\udcff\U0001f642")
_HALF = re.compile("[\ud800-\udfff]")


@given(st.one_of(ANY_TEXT, ODD_TEXT))
def test_what_is_taken_out_is_nul_and_half_pairs_alone(value: str) -> None:
    joined = value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    expected = _HALF.sub(
        "\ufffd", value.replace("\x00", "") if joined == value else storable(joined)
    )
    assert storable(value) == expected
    assert storable(expected) == expected
    expected.encode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ""),
        ("좋다", "좋다"),
        ("\ufeff좋다\ufeff", "\ufeff좋다\ufeff"),
        ("\u1112\u1161\u11ab", "\u1112\u1161\u11ab"),
        ("a\x00b\x00", "ab"),
        ("\ud83d\ude42", "🙂"),
        ("\ude42\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ud83d\ude42", "\ufffd🙂"),
        ("\ud83d\x00\ude42", "\ufffd\ufffd"),
        ("끝 \ud83d", "끝 \ufffd"),
    ],
)
def test_repairs(value: str, expected: str) -> None:
    assert storable(value) == expected


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("글\x00\ud800", '"글\ufffd"'),
        (Decimal("1.50"), "1.5"),
        (Decimal("12345678901234567890.5"), '"12345678901234567890.5"'),
        (Decimal("1E+400"), '"1E+400"'),
        (Decimal("1E-400"), '"1E-400"'),
        (10**30, "1" + "0" * 30),
        (float("nan"), "null"),
        (float("-inf"), "null"),
        (Decimal("NaN"), "null"),
        (True, "true"),
        (None, "null"),
        ([1, ["가\x00", {"\x00b": (2.5,)}]], '[1, ["가", {"b": [2.5]}]]'),
        (b"x", "\"b'x'\""),
    ],
)
def test_kept_values_as_json(value: object, written: str) -> None:
    assert storable_json({"열\x00": value}) == f'{{"열": {written}}}'


_JSON = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), ODD_TEXT),
        st.decimals(allow_nan=True, allow_infinity=True).filter(lambda value: not value.is_snan()),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(ODD_TEXT, _JSON, max_size=4))
def test_any_kept_value_is_json_that_postgresql_takes(values: dict[str, Any]) -> None:
    written = storable_json(values)
    written.encode()
    assert "\\u0000" not in written

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert isinstance(json.loads(written, parse_constant=refuse), dict)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("본문 a.csv", "본문 a.csv"),
        ("\u1112\u1161\u11ab.csv", "\u1112\u1161\u11ab.csv"),
        ("a\nb\x1b[31m\x85\u2028\u202e\udcb1", "a\ufffdb\ufffd[31m\ufffd\ufffd\ufffd\ufffd"),
    ],
)
def test_a_name_never_breaks_a_line(name: str, shown: str) -> None:
    assert printable(name) == shown
