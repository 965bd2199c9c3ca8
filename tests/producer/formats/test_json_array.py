from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from producer.columns import Columns
from producer.formats import decoded, json_array
from producer.formats.json_array import JsonArrayReader
from producer.formats.json_values import end_of_brackets
from tests.producer.reading import outcomes, rejects_of


def _file(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "a.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


GOOD = '{"id": "a", "text": "좋다"}'
DEEP = "[" * 200 + "]" * 200


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[]", []),
        (" [ \n ] \n", []),
        ("", []),
        (f"[{GOOD}]", ["좋다"]),
        (f"\r\n[\t{GOOD} ,\n{GOOD}\n]\n\n", ["좋다", "좋다"]),
        ("[" + " " * 1_000 + GOOD + " " * 1_000 + "]" + " " * 1_000, ["좋다"]),
        (
            f'[{GOOD}, 1, null, "글", [{GOOD}], true, -1.5e3]',
            ["좋다", *["!not_object"] * 6],
        ),
        (f'[{GOOD}, {{"id": 1, "text": {DEEP}}}, {GOOD}]', ["좋다", "!too_deep", "좋다"]),
        (f"[{GOOD}, {'[' * 20_000 + ']' * 20_000}, {GOOD}]", ["좋다", "!too_deep", "좋다"]),
        ('[{"id": 1, "text": "]},{\\"[", "x": 1e9999999999999999999}]', [']},{"[']),
        ('[{"id": ' + "9" * 6_000 + ', "text": "큰 수"}]', ["큰 수"]),
        (b'\xef\xbb\xbf[{"text": "x"}, {"text": "\xff"}, {"text": "y"}]', ["x", "!bad_bytes", "y"]),
    ],
)
def test_elements_are_rows(tmp_path: Path, content: str | bytes, expected: list[str]) -> None:
    assert outcomes(_file(tmp_path, content)) == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"[{GOOD}", "a value that does not end"),
        (f"[{GOOD},", "the array does not end"),
        (f"[{GOOD}, ]", "Expecting value"),
        (f"[{GOOD} {GOOD}]", "something stands where none may"),
        (f"[{GOOD}] x", "something stands where none may"),
        (f"[{GOOD}], [{GOOD}]", "something stands where none may"),
        (f'[{GOOD}, {{"id": 1, "text": "중간', "Unterminated string"),
        (f"[{GOOD}, {{'id': 1}}]", "Expecting property name"),
        (f"[{GOOD}, {'[' * 20_000}", "nested deeper"),
        ("글", "not a JSON array"),
        ('"[]"', "not a JSON array"),
        ("1", "not a JSON array"),
    ],
)
def test_what_is_not_an_array_to_its_end_is_an_error(
    tmp_path: Path, content: str, words: str
) -> None:
    with pytest.raises(InputError, match=rf"^a\.json: .*{words}"):
        outcomes(_file(tmp_path, content))


def test_a_break_says_behind_which_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_array, "BLOCK_ROWS", 100)
    path = _file(tmp_path, "[" + ",".join([GOOD] * 3_000) + ',{"id"')
    with pytest.raises(InputError, match=r"breaks off after row 3,000 \("):
        outcomes(path)


def test_a_reject_shows_its_element(tmp_path: Path) -> None:
    (reject,) = rejects_of(_file(tmp_path, f'[{GOOD}, {{"id":  2, "text": null}} ]'))
    assert (reject.row_number, reject.held.text) == (2, '{"id":  2, "text": null}')


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text('가"\\[]{}, \n\ud800')),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("가"), inner),
            max_leaves=8,
        ),
        max_size=12,
    ),
    st.sampled_from([None, 1]),
    st.integers(1, 60),
)
def test_any_array_is_read_however_it_is_cut(values: Any, indent: int | None, size: int) -> None:
    text = json.dumps(values, indent=indent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoded, "READ_BYTES", size)
        reader = JsonArrayReader(io.BytesIO(text.encode()), "utf-8")
        columns = Columns("text", None, None)
        seen: list[str] = []
        for block in reader.blocks(columns):
            rows = {n: block.hold(at).text for at, n in enumerate(block.numbers)}
            rows |= {reject.row_number: reject.held.text for reject in block.rejects}
            seen += [rows[number] for number in sorted(rows)]
    assert [json.loads(text) for text in seen] == json.loads(json.dumps(values))


def test_an_element_that_is_too_long_ends_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded, "READ_BYTES", 64)
    monkeypatch.setattr(json_array, "MAX_ROW_CHARACTERS", 1_000)
    with pytest.raises(InputError, match="Unterminated string"):
        outcomes(_file(tmp_path, f'[{GOOD}, {{"text": "{"긴" * 9_000}"}}]'))


def test_the_end_of_brackets_is_found_once_through() -> None:
    assert end_of_brackets('[["a\\"]"]]x', 0) == 10
    assert end_of_brackets('["a\\', 0) is None
    begun = time.process_time()
    assert end_of_brackets("[" * 200 + '"' + '\\"' * 500_000, 0) is None
    assert time.process_time() - begun < 5
