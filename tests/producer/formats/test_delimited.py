"""CSV and TSV files as strangers write them."""

from __future__ import annotations

import codecs
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from producer.columns import ColumnOptions, Columns
from producer.crawl import ReadOptions
from producer.formats import decoded, delimited, quick_csv, records
from producer.formats.delimited import DelimitedReader
from tests.producer.reading import outcomes, outcomes_of, rejects_of


def _file(
    tmp_path: Path, content: str | bytes, name: str = "a.csv", encoding: str = "utf-8"
) -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def _reader(content: bytes, encoding: str = "utf-8", kind: str = "csv") -> DelimitedReader:
    return DelimitedReader(io.BytesIO(content), encoding, kind, ColumnOptions())


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("a.csv", "id,text\n1,좋다, 정말\n", ["id", "text"]),
        ("a.csv", "id\ttext\n1\t좋다\n", ["id", "text"]),
        ("a.csv", "id;text;x,y\n1;좋다;2\n", ["id", "text", "x,y"]),
        ("a.csv", "id|text\n1|좋다\n", ["id", "text"]),
        ("a.tsv", "id\ttext\n1\t좋다, 정말\n", ["id", "text"]),
        ("a.tsv", "id,text\n1,좋다\n", ["id", "text"]),
        ("a.csv", "본문\n좋다\n", ["본문"]),
        ("a.csv", '"id","본\n문","text"\n1,2,3\n', ["id", "본\n문", "text"]),
        ("a.csv", "\n\n  \nid,text\n1,좋다\n", ["id", "text"]),
    ],
)
def test_the_delimiter_is_found(name: str, content: str, columns: list[str]) -> None:
    reader = _reader(content.encode(), kind=name.rpartition(".")[2])
    assert reader.columns == columns
    assert reader.has_rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_encoding_and_line_end_comes_to_the_same(
    tmp_path: Path, encoding: str, newline: str
) -> None:
    text = newline.join(["글번호,본문", "1,좋다", '2,"그리고, ""나쁘다"""', "", "3,햏햏", ""])
    path = _file(tmp_path, text, encoding=encoding)
    assert outcomes(path) == ["좋다", '그리고, "나쁘다"', "햏햏"]


@pytest.mark.parametrize("named", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_a_byte_order_mark_is_none_of_the_first_column(tmp_path: Path, named: str) -> None:
    text = "\ufeff본문\n\ufeff좋다\n"
    path = _file(tmp_path, text.encode("utf-16-le" if "16" in named else "utf-8"))
    assert outcomes(path, ReadOptions(encoding=named)) == ["\ufeff좋다"]


def test_a_newline_in_quotes_stays_what_it_is(tmp_path: Path) -> None:
    text = 'id,text\r\n1,"첫\r\n둘\n셋\r넷"\r\n2,끝\r\n'
    assert outcomes(_file(tmp_path, text)) == ["첫\r\n둘\n셋\r넷", "끝"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (b"1,\xff\n2,\xec\xa2\x8b\n", ["!bad_bytes", "좋"]),
        (b'\xff,x\n2,"\xec\xa2\x8b"\n', ["!bad_bytes", "좋"]),
        (b"1,x,\xff\n2,y\n", ["!field_count", "y"]),
        (b'1,"\xff\n2,y\n', ["!open_quote", "y"]),
        (b"1,\xec\xa2", ["!bad_bytes"]),
    ],
)
def test_bytes_that_do_not_decode_cost_one_row(
    tmp_path: Path, rows: bytes, expected: list[str]
) -> None:
    path = _file(tmp_path, codecs.BOM_UTF8 + b"id,text\n" + rows)
    assert outcomes(path) == expected


def test_rejects_come_in_the_order_of_their_rows(tmp_path: Path) -> None:
    path = _file(tmp_path, codecs.BOM_UTF8 + b'id,text\n1,x\n2,\xff\n3,"x"y\n4,\xff\n5\n')
    assert [reject.row_number for reject in rejects_of(path)] == [2, 3, 4, 5]


def test_what_did_not_decode_is_shown(tmp_path: Path) -> None:
    path = _file(tmp_path, codecs.BOM_UTF8 + b"id,text\n1,x\xb0\xa1\n")
    (reject,) = rejects_of(path)
    assert reject.held.text == '{"id": "1", "text": "x\\\\xb0\\\\xa1"}'


@pytest.mark.parametrize("half", [0xD800, 0xDC80, 0xDCFF, 0xDFFF])
def test_half_a_pair_in_utf16_is_repaired(tmp_path: Path, half: int) -> None:
    text = f"id,text\n1,가{chr(half)}나\n2,좋다\n"
    path = _file(tmp_path, codecs.BOM_UTF16_LE + text.encode("utf-16-le", "surrogatepass"))
    assert outcomes(path) == ["가\ufffd나", "좋다"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"id,text\n", b"id,text", b"id,text\n\r\n\n"])
def test_a_file_without_a_data_row_has_none(tmp_path: Path, content: bytes) -> None:
    assert outcomes(_file(tmp_path, content)) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('"id,text\n1,2\n', "a quote that does not close"),
        ("id,text,text\n1,2,3\n", "more than one text column"),
        ("id,id,text\n1,2,3\n", "two columns have the same name"),
        ("a,b\n1,2\n", r"no text column among \[a, b\]"),
        ('"a\nb",c\n1,2\n', "no text column among \\[a\ufffdb, c\\]"),
    ],
)
def test_a_header_that_cannot_be_used_is_an_error(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(InputError, match=f"^a.csv: .*{words}"):
        outcomes(_file(tmp_path, content))


def test_a_kept_column_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    path = _file(tmp_path, "text,a,a\n1,2,3\n")
    assert outcomes(path) == ["1"]
    with pytest.raises(InputError, match="two columns have the same name"):
        outcomes(path, ReadOptions(ColumnOptions(keep=("a",))))


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of some bytes, rows of at most fifty characters."""
    monkeypatch.setattr(decoded, "READ_BYTES", 7)
    monkeypatch.setattr(decoded, "MAX_ROW_CHARACTERS", 50)


@pytest.mark.usefixtures("small_pieces")
def test_a_row_that_is_too_long_costs_itself(tmp_path: Path) -> None:
    long = "긴" * 90
    text = f'id,text\n1,좋다\n2,{long}\n3,x\n4,"\n{long}\n5,y\n6,{long}'
    assert outcomes(_file(tmp_path, text)) == [
        *("좋다", "!row_too_long", "x", "!open_quote", "!row_too_long", "y", "!row_too_long")
    ]


@pytest.mark.usefixtures("small_pieces")
def test_a_header_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the header line is too long"):
        outcomes(_file(tmp_path, "text" * 50 + "\nx\n"))


_CELLS = st.text("가나a ,;\t|\"'\n\r\x00\ufeff\u2028 ", max_size=8)
_ANY = st.text('가a,"\n\r\x00\ufeff \ud800\udcff', max_size=50)


def _slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "parse_quickly", lambda *_arguments: None)


def _blocks(content: bytes, encoding: str) -> Any:
    """Everything that a reader gives, the rejects with what they held."""
    reader = _reader(content, encoding)
    columns = Columns(reader.columns[-1], None, None, tuple(reader.columns[:-1]))
    words, held = [], []
    for block in reader.blocks(columns):
        values = {name: list(map(_plain, values)) for name, values in block.values.items()}
        words += [(n, [values[name][at] for name in values]) for at, n in enumerate(block.numbers)]
        held += [(block.numbers[at], block.hold(at)) for at in range(len(block.numbers))]
        held += [(reject.row_number, reject.held) for reject in block.rejects]
        words += [(reject.row_number, reject.code) for reject in block.rejects]
    return sorted(words, key=lambda row: row[0]), sorted(held, key=lambda row: row[0])


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else value.as_py()


@settings(max_examples=500, deadline=None)
@given(_ANY, st.integers(1, 3), st.booleans())
def test_reading_quickly_comes_to_the_same(text: str, width: int, good: bool) -> None:
    if good:
        text = text.replace('"', "").encode("utf-8", "ignore").decode()
    header = ",".join(("a", "b", "text")[-width:]) + "\n"
    content = (codecs.BOM_UTF16_LE.decode("utf-16-le") + header + text).encode(
        "utf-16-le", "surrogatepass"
    )
    quick = _blocks(content, "utf-16")
    with pytest.MonkeyPatch.context() as patch:
        _slowly(patch)
        assert quick == _blocks(content, "utf-16")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(_CELLS, min_size=2, max_size=2), max_size=12), st.integers(1, 40))
def test_what_was_written_is_read_however_it_is_cut(rows: list[list[str]], size: int) -> None:
    lines = [["x", "text"], *rows]
    quoted = "".join(
        ",".join('"' + cell.replace('"', '""') + '"' for cell in line) + "\r\n" for line in lines
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoded, "READ_BYTES", size)
        reader = _reader(quoted.encode())
        columns = Columns("text", None, None, ("x",))
        read = [
            [_plain(block.values[name][at]) for name in ("x", "text")]
            for block in (reader.blocks(columns) if reader.has_rows else ())
            for at in range(len(block.numbers))
        ]
    assert read == rows


def test_blank_lines_by_the_million_are_not_kept() -> None:
    reader = _reader(b"id,text\n" + b"\n" * (2 << 20) + "1,좋다".encode())
    assert sum(len(piece.text) for piece in reader._ahead) < 1 << 20
    assert outcomes_of(reader) == ["좋다"]


def test_haste_ends_where_what_was_waited_for_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of many lines is read again, far behind the quotes that did not close."""
    monkeypatch.setattr(decoded, "READ_BYTES", 50)
    monkeypatch.setattr(delimited, "READ_BYTES", 50)
    monkeypatch.setattr(delimited, "MAX_WAITS", 1)
    monkeypatch.setattr(delimited, "MAX_WAIT_CHARACTERS", 1_000)
    monkeypatch.setattr(records, "MAX_WAIT_CHARACTERS", 1_000)
    monkeypatch.setattr(records, "LONG_WAIT_LINES", 20)
    many = "줄\n" * 100
    text = 'id,text\n1,"열린\n' + "2,글\n" * 1_000 + f'3,"{many}"\n4,끝\n'
    assert outcomes_of(_reader(text.encode())) == ["!open_quote", *["글"] * 1_000, many, "끝"]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.text('가,"\n;', max_size=9), max_size=30),
    st.integers(1, 30),
    st.integers(10, 60),
    st.integers(1, 3),
    st.booleans(),
)
def test_no_line_is_lost_behind_quotes_that_do_not_close(
    junk: list[str], size: int, wait: int, lines: int, cut: bool
) -> None:
    """However often lines are read again, each stands in one row or in one reject."""
    text = "a,text\n" + "".join(f"<{n}>{words}</{n}>\n" for n, words in enumerate(junk))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoded, "READ_BYTES", size)
        patch.setattr(delimited, "READ_BYTES", size)
        patch.setattr(delimited, "MAX_WAITS", 2)
        patch.setattr(delimited, "MAX_WAIT_CHARACTERS", wait)
        patch.setattr(records, "MAX_WAIT_CHARACTERS", wait)
        patch.setattr(records, "LONG_WAIT_LINES", lines)
        for module in (records, quick_csv):
            patch.setattr(module, "MAX_UNFIT_LINES", 2)
        if cut:
            patch.setattr(decoded, "MAX_ROW_CHARACTERS", 40)
        words, held = _blocks(text.encode(), "utf-8")
    assert [number for number, _row in words] == list(range(1, len(words) + 1))
    seen = " ".join(shown.text for _number, shown in held)
    for n in range(len(junk)):
        assert seen.count(f"<{n}>") == 1 or (cut and seen.count(f"<{n}>") < 2)
