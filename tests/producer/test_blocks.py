"""Whole columns at once come to what the row rules say of each row, whatever stands in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producer.blocks import Block, BlockRules, RawBlock
from producer.columns import Columns
from producer.held import Held, hold_row
from producer.plain import value_at
from producer.rows import Document, RawRow, Reject, RowRules
from tests.crawls import SEOUL

ROWS = 8
MAX_TEXT_BYTES = 60  # so that a text is soon too long
MORE = settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))

# To be taken away with the faults that they name: times of nanoseconds (cut on one way, not on the
# other), of seconds that overflow; kept values that are nothing, of bad bytes, or out of range.
# Characters that the rules treat in a way of their own, beside any others.
_ODD = "가힣ㅋㅤ\u115f\u1160\u200b\ufeff\u3000 \t\n\r\x00\x1f\x85\u2028aZ~!０🙂\U000e0001"
_CHARACTERS = st.one_of(st.sampled_from(_ODD), st.characters(exclude_categories=()))
_WORDS = st.text(_CHARACTERS, max_size=24)
_GOOD_WORDS = st.text(st.sampled_from("가나다라 abc.,!?1"), min_size=1, max_size=12)
_LONG = st.sampled_from(
    ["가" * 20, "가" * 21, "a" * 60, "a" * 61, "x" * 512, "x" * 513, "글" * 200]
)

_TIME_TEXTS = st.sampled_from(
    [
        *("2026-11-01", "2026.11.01 09:30", "2026. 11. 1. 9:30", "2026/11/01", "1793493000"),
        *("2026-11-01T00:30:00Z", "2026-11-01T09:30:00+09:00", "1793493000000", "1793493000.25"),
        *("", " ", "어제", "infinity", "nan", "1989-12-31", "2101-01-01", "2026-13-01", "0", "-1"),
        *("1990-01-01", "2100-12-31 23:59:59.999999", "2026-11-01\x00", "\ud800", "２０２６-11-01"),
    ]
)
_NUMBERS = st.one_of(
    st.integers(-5, 10),
    st.integers(),
    st.floats(),
    st.sampled_from([1793493000, 1793493000000, 10**11, 10**400, 2**63, -(2**63), 7.0, 1e300]),
    st.decimals(allow_nan=False),
    st.booleans(),
)
_NESTED = st.sampled_from([[], [1, "글\x00"], {"a": None}, {"가\x00": ["\ud800"]}, [float("nan")]])
_MOMENTS = st.one_of(  # never with a zone: those are only in arrays
    st.datetimes(),
    st.datetimes(datetime(1989, 12, 30), datetime(2101, 1, 2)),
    st.dates(date(1989, 12, 30), date(2101, 1, 2)),
)
_NOTHING = st.sampled_from([None, float("nan")])
# What a reader of JSON, CSV or Excel gives.
_ANYTHING = st.one_of(
    _NOTHING, _WORDS, _GOOD_WORDS, _LONG, _TIME_TEXTS, _NUMBERS, _NESTED, _MOMENTS
)


def _lists(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=ROWS, max_size=ROWS)


_TEXT_LISTS = st.one_of(
    _lists(_GOOD_WORDS), _lists(st.one_of(_WORDS, _LONG)), _lists(_ANYTHING), _lists(_NOTHING)
)
_ID_LISTS = st.one_of(
    st.just([f"글-{n}" for n in range(ROWS)]),
    _lists(st.integers(-(2**63), 2**63 - 1)),
    _lists(st.integers()),
    _lists(st.one_of(_WORDS, _LONG)),
    _lists(_NUMBERS),
    _lists(_ANYTHING),
)
_TIME_LISTS = st.one_of(
    _lists(st.none()),
    _lists(st.one_of(st.none(), _TIME_TEXTS)),
    _lists(_NUMBERS),
    _lists(st.one_of(st.none(), st.datetimes(datetime(1989, 12, 30), datetime(2101, 1, 2)))),
    _lists(_ANYTHING),
)


def _made(values: Sequence[Any], kind: pa.DataType) -> pa.Array | None:
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, OverflowError, UnicodeError, TypeError, ValueError):
        return None


def _arrays(
    values: st.SearchStrategy[Any], *kinds: pa.DataType
) -> st.SearchStrategy[pa.Array | None]:
    lists = _lists(st.one_of(st.none(), values))
    return st.builds(_made, lists, st.sampled_from(kinds)).filter(lambda array: array is not None)


_STRINGS = st.text(st.one_of(st.sampled_from(_ODD), st.characters()), max_size=24)
_BYTES = st.one_of(st.binary(max_size=8), _GOOD_WORDS.map(str.encode))


def _believed(values: Sequence[bytes | None], kind: pa.DataType) -> pa.Array:
    """Strings as a Parquet file has them: nobody has looked whether they are UTF-8."""
    wide = pa.types.is_large_string(kind)
    return pa.array(values, pa.large_binary() if wide else pa.binary()).view(kind)


_STRING_ARRAYS = st.one_of(
    _arrays(_GOOD_WORDS, pa.string(), pa.large_string(), pa.string_view()),
    _arrays(_STRINGS, pa.string(), pa.large_string(), pa.string_view()),
    _arrays(_STRINGS, pa.string()).map(lambda array: array.dictionary_encode()),
    st.builds(
        _believed,
        _lists(st.one_of(st.none(), _BYTES)),
        st.sampled_from([pa.string(), pa.large_string()]),
    ),
    st.builds(_believed, _lists(_BYTES), st.just(pa.string())).map(
        lambda array: array.dictionary_encode()
    ),
)
_OTHER_ARRAYS = st.one_of(
    _arrays(st.integers(-(2**63), 2**63 - 1), pa.int64(), pa.int32(), pa.uint8()),
    _arrays(st.integers(0, 2**64 - 1), pa.uint64()),
    _arrays(st.integers(0, 9), pa.int16()).map(lambda array: array.dictionary_encode()),
    _arrays(st.one_of(st.floats(), st.just(7.0)), pa.float64(), pa.float32()),
    _arrays(st.decimals(0, 999, places=2), pa.decimal128(9, 2)),
    _arrays(st.booleans(), pa.bool_()),
    _arrays(_BYTES, pa.binary(), pa.large_binary()),
    _arrays(st.lists(_GOOD_WORDS, max_size=2), pa.list_(pa.string())),
    _arrays(st.none(), pa.null()),
)
_INSTANTS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.datetimes(datetime(1989, 12, 30), datetime(2101, 1, 2)).map(
        lambda value: int(value.replace(tzinfo=UTC).timestamp())
    ),
)
_TIME_ARRAYS = st.one_of(
    _arrays(_INSTANTS, *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns"))),
    _arrays(_INSTANTS, *(pa.timestamp(unit, "Asia/Seoul") for unit in ("s", "us", "ns"))),
    _arrays(_INSTANTS.map(lambda n: n * 10**6), pa.timestamp("us"), pa.timestamp("us", "UTC")),
    _arrays(_INSTANTS.map(lambda n: n * 10**9 + 1), pa.timestamp("ns"), pa.timestamp("ns", "UTC")),
    _arrays(_INSTANTS, pa.timestamp("us", "Nowhere/City"), pa.timestamp("ms", "+09:30")),
    _arrays(_INSTANTS.map(lambda n: n // 86_400), pa.date32()),
    _arrays(_INSTANTS, pa.int64()),
    _arrays(st.floats(0, 2e12), pa.float64()),
    _arrays(_TIME_TEXTS.filter(str.isprintable), pa.string(), pa.large_string()),
    _arrays(st.times(), pa.time64("us")),
    _arrays(st.timedeltas(timedelta(0), timedelta(9)), pa.duration("us")),
)

TEXTS = st.one_of(_TEXT_LISTS, _STRING_ARRAYS, _OTHER_ARRAYS)
IDS = st.one_of(_ID_LISTS, _STRING_ARRAYS, _OTHER_ARRAYS)
TIMES = st.one_of(_TIME_LISTS, _TIME_ARRAYS, _STRING_ARRAYS, _OTHER_ARRAYS)
KEPT = st.one_of(
    _lists(st.one_of(_ANYTHING)), _lists(_GOOD_WORDS), _STRING_ARRAYS, _OTHER_ARRAYS, _TIME_ARRAYS
)


@dataclass(frozen=True)
class _Rules:
    """One file's rules, as both ways have them."""

    rules: RowRules
    columns: Columns

    def by_row(self, raw: RawBlock) -> list[Document | Reject]:
        return [self._one(raw, place) for place in range(len(raw.numbers))]

    def _one(self, raw: RawBlock, place: int) -> Document | Reject:
        def value(name: str | None) -> object:
            return None if name is None else value_at(raw.values[name], place)

        columns = self.columns
        kept = {name: value(name) for name in columns.keep}
        return self.rules.read(
            RawRow(
                raw.numbers[place],
                value(columns.text),
                value(columns.external_id),
                value(columns.written_at),
                lambda: raw.hold(place),
                {name: found for name, found in kept.items() if found is not None},
            )
        )


def _documents(block: Block) -> list[Document]:
    names = ("row_number", "external_id", "written_at", "text", "repaired", "extra")
    return [Document(*(row[name] for name in names)) for row in block.documents.to_pylist()]


def _check_the_same(raw: RawBlock, columns: Columns, make_id: Callable[[int], str] | None) -> None:
    rules = RowRules(SEOUL, make_id, MAX_TEXT_BYTES)
    block = BlockRules(rules, columns).read(raw)
    expected = _Rules(rules, columns).by_row(raw)
    assert _documents(block) == [row for row in expected if isinstance(row, Document)]
    assert block.rejects == [row for row in expected if isinstance(row, Reject)]
    assert block.rows == len(raw.numbers)
    for number in raw.numbers:
        assert block.hold_row(number) == raw.hold(number - raw.numbers[0])


def _raw(values: dict[str, Any], first: int = 5) -> RawBlock:
    def hold(place: int) -> Held:
        return hold_row({"place": place})

    return RawBlock(range(first, first + ROWS), values, hold)


@MORE
@given(TEXTS, IDS, TIMES)
def test_both_ways_come_to_the_same(texts: Any, ids: Any, times: Any) -> None:
    raw = _raw({"text": texts, "id": ids, "time": times})
    _check_the_same(raw, Columns("text", "id", "time"), None)


@settings(MORE, max_examples=300)
@given(TEXTS, st.one_of(st.none(), TIMES))
def test_both_ways_come_to_the_same_without_ids(texts: Any, times: Any) -> None:
    values = {"text": texts} if times is None else {"text": texts, "time": times}
    columns = Columns("text", None, None if times is None else "time")
    _check_the_same(_raw(values), columns, "digest:{}".format)


@settings(MORE, max_examples=300)
@given(_lists(_GOOD_WORDS), st.one_of(_TIME_LISTS, _TIME_ARRAYS), KEPT, KEPT)
def test_both_ways_keep_the_same(texts: Any, times: Any, one: Any, two: Any) -> None:
    raw = _raw({"text": texts, "time": times, "one": one, "두 번째": two})
    columns = Columns("text", None, "time", ("one", "두 번째"))
    _check_the_same(raw, columns, "digest:{}".format)


@settings(MORE, max_examples=200)
@given(_ANYTHING, _ANYTHING, _ANYTHING)
def test_one_odd_row_among_plain_ones(text: Any, external_id: Any, written_at: Any) -> None:
    texts = ["좋다", text, *["나쁘다"] * (ROWS - 2)]
    ids = ["a", "b", external_id, *"cdefg"]
    times = ["2026-11-01"] * (ROWS - 1) + [written_at]
    _check_the_same(
        _raw({"text": texts, "id": ids, "time": times}), Columns("text", "id", "time"), None
    )


@pytest.mark.parametrize("name", ["text", "time"])
def test_one_column_may_be_several_things(name: str) -> None:
    values = {"text": ["2026-11-01"] * ROWS, "time": ["2026-11-01"] * ROWS}
    columns = Columns(name, name, name, (name,))
    _check_the_same(_raw(values), columns, None)


def test_a_time_that_overflows_is_not_some_other_time() -> None:
    """2^64 microseconds more than 1 November 2026, in seconds: it fits, and wraps round."""
    wrapped = (1793493000 * 10**6 + 15_625 * 2**64) // 10**6
    times = pa.array([wrapped] * ROWS, pa.timestamp("s"))
    raw = _raw({"text": ["좋다"] * ROWS, "time": times})
    block = BlockRules(RowRules(SEOUL, str), Columns("text", None, "time")).read(raw)
    assert {reject.code for reject in block.rejects} == {"bad_time"}
    assert block.documents.num_rows == 0


def test_kept_decimals_keep_their_digits() -> None:
    raw = _raw({"text": ["좋다"] * ROWS, "n": [Decimal("1.10")] * ROWS})
    rules = BlockRules(RowRules(SEOUL, str), Columns("text", None, None, ("n",)))
    (extra,) = set(rules.read(raw).documents["extra"].to_pylist())
    assert extra == '{"n": 1.1}'


def test_a_kept_value_of_bad_bytes_is_not_taken_for_a_text() -> None:
    kept = pa.array([b"\xff"] * ROWS).view(pa.string())
    raw = _raw({"text": ["좋다"] * ROWS, "n": kept})
    rules = BlockRules(RowRules(SEOUL, str), Columns("text", None, None, ("n",)))
    assert {reject.code for reject in rules.read(raw).rejects} == {"bad_bytes"}


def test_a_kept_time_that_python_cannot_hold_is_no_address_in_memory() -> None:
    kept = pa.array([2**62] * ROWS, pa.timestamp("us"))
    raw = _raw({"text": ["좋다"] * ROWS, "n": kept})
    rules = BlockRules(RowRules(SEOUL, str), Columns("text", None, None, ("n",)))
    extras = rules.read(raw).documents["extra"].to_pylist()
    assert not any("object at" in str(extra) for extra in extras)


def test_times_without_a_column_are_empty() -> None:
    raw = _raw({"text": ["좋다"] * ROWS})
    block = BlockRules(RowRules(SEOUL, str), Columns("text", None, None)).read(raw)
    assert block.documents["written_at"].to_pylist() == [None] * ROWS


def test_rejects_of_the_reader_stand_between_those_of_the_rules() -> None:
    def hold(_place: int) -> Held:
        return Held("{}")

    mine = Reject(2, "field_count", "3 fields, not 2", Held("x"))
    raw = RawBlock([1, 3], {"text": ["", "좋다"], "t": [time(9), None]}, hold, [mine])
    block = BlockRules(RowRules(SEOUL, str), Columns("text", None, "t")).read(raw)
    assert [(reject.row_number, reject.code) for reject in block.rejects] == [
        (1, "bad_time"),
        (2, "field_count"),
    ]
    assert block.rows == 3
