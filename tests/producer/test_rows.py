from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime

import pytest

from producer.held import hold_row
from producer.rows import MAX_TEXT_BYTES, Document, RawRow, Reject, RowRules
from tests.crawls import SEOUL

RULES = RowRules(SEOUL, make_id=None)


def _read(text: object = "글", external_id: object = "a", written_at: object = None) -> object:
    return RULES.read(
        RawRow(1, text, external_id, written_at, lambda: hold_row({"text": str(text)[:50]}))
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "no_text"),
        (float("nan"), "no_text"),
        (12, "text_not_string"),
        (["글"], "text_not_string"),
        (True, "text_not_string"),
        ("", "empty_text"),
        (" \t\u3000\n", "empty_text"),
        ("\u3164\u115f\u200b", "empty_text"),
        ("\x00", "empty_text"),
        ("가" * (MAX_TEXT_BYTES // 3 + 1), "text_too_long"),
    ],
)
def test_what_is_no_text_is_rejected_with_its_reason(text: object, code: str) -> None:
    row = _read(text)
    assert isinstance(row, Reject)
    assert (row.code, row.row_number) == (code, 1)
    assert row.held.text.startswith('{"text"')


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("a\x00b", "ab"),
        ("반쪽 \ud83d 이모지", "반쪽 \ufffd 이모지"),
        ("온전한 😊", "온전한 😊"),
        ("  그대로  ", "  그대로  "),
        ("가" * (MAX_TEXT_BYTES // 3), "가" * (MAX_TEXT_BYTES // 3)),
        (unicodedata.normalize("NFD", "좋다"), unicodedata.normalize("NFD", "좋다")),
    ],
)
def test_the_text_is_stored_as_it_came_but_for_what_cannot_be_held(
    stored: str, expected: str
) -> None:
    row = _read(stored)
    assert isinstance(row, Document)
    assert row.text == expected


@pytest.mark.parametrize(
    ("value", "external_id"),
    [
        ("post-1", "post-1"),
        (" post-1 ", "post-1"),
        (123456789012345678901234567890, "123456789012345678901234567890"),
        (7.0, "7"),
        ("글번호", "글번호"),
    ],
)
def test_ids_are_text(value: object, external_id: str) -> None:
    row = _read(external_id=value)
    assert isinstance(row, Document)
    assert row.external_id == external_id


def test_a_long_id_is_kept_by_its_hash() -> None:
    row = _read(external_id="https://example.org/" + "x" * 5_000)
    assert isinstance(row, Document)
    assert row.external_id.startswith("sha256:")
    assert len(row.external_id) == 71


@pytest.mark.parametrize("value", [None, "", "  ", float("nan"), True, [1]])
def test_a_row_without_id_is_rejected(value: object) -> None:
    row = _read(external_id=value)
    assert isinstance(row, Reject)
    assert row.code == "no_id"


SEOUL_MORNING = datetime(2026, 11, 1, 0, 30, tzinfo=UTC)
SEOUL_MIDNIGHT = datetime(2026, 10, 31, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-01 09:30", SEOUL_MORNING),
        ("2026.11.01 09:30", SEOUL_MORNING),
        ("2026. 11. 1. 9:30", SEOUL_MORNING),
        ("2026/11/01", SEOUL_MIDNIGHT),
        ("2026-11-01T09:30:00", SEOUL_MORNING),
        ("2026-11-01T00:30:00Z", SEOUL_MORNING),
        ("2026-11-01T09:30:00+09:00", SEOUL_MORNING),
        ("2026. 11. 1. 오전 9:30", SEOUL_MORNING),
        ("2026-11-1 9:30", SEOUL_MORNING),
        (20261101, SEOUL_MIDNIGHT),
        (1793493000, SEOUL_MORNING),
        (1793493000000, SEOUL_MORNING),
        ("1793493000", SEOUL_MORNING),
        (datetime(2026, 11, 1, 9, 30), SEOUL_MORNING),
        (date(2026, 11, 1), SEOUL_MIDNIGHT),
        (None, None),
        ("", None),
        (float("nan"), None),
    ],
)
def test_times_in_the_ways_that_crawls_write_them(value: object, expected: object) -> None:
    row = _read(written_at=value)
    assert isinstance(row, Document)
    assert row.written_at == expected


@pytest.mark.parametrize(
    "value",
    [
        "어제",
        10**400,
        "infinity",
        "2026-13-01",
        "2026.11.1212",
        "2026. 11. 1. 오후 13:05",
        "2026110109",
        "0001-01-01",
        "9999-12-31",
        10**18,
        True,
        ["x"],
        -1,
    ],
)
def test_a_time_that_cannot_be_read_rejects_the_row(value: object) -> None:
    row = _read(written_at=value)
    assert isinstance(row, Reject)
    assert row.code == "bad_time"
