from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.formats import decoded
from producer.formats.decoded import Piece, read_lines, read_text


def _read(
    data: bytes, ends: str, size: int, longest: int = 1_000, encoding: str = "utf-8"
) -> list[Piece]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoded, "READ_BYTES", size)
        patch.setattr(decoded, "MAX_ROW_CHARACTERS", longest)
        return list(read_lines(io.BytesIO(data), encoding, ends=ends))


@given(
    st.text("가a\r\n\x85\u2028🙂", max_size=60), st.integers(1, 30), st.sampled_from(["\n", "\r\n"])
)
def test_pieces_are_whole_lines_and_all_of_the_text(text: str, size: int, ends: str) -> None:
    pieces = _read(text.encode(), ends, size)
    assert "".join(piece.text for piece in pieces) == text
    assert not any(piece.cut for piece in pieces)
    for piece, following in pairwise(pieces):
        assert piece.text[-1] in ends
        assert not (piece.text.endswith("\r") and following.text.startswith("\n"))


@given(st.lists(st.text("가a", max_size=30), max_size=12), st.integers(1, 12), st.integers(0, 25))
def test_long_lines_are_cut_and_no_other(lines: list[str], size: int, longest: int) -> None:
    """A line is held up to the bound and what one read adds to it; what is longer is cut."""
    longest += size  # a read is never longer than a row may be
    pieces = _read("\n".join(lines).encode(), "\n", size, longest)
    cut = [piece for piece in pieces if piece.cut]
    surely = [line for line in lines if len(line) > longest + 2 * size]
    perhaps = [line for line in lines if len(line) > longest]
    assert len(surely) <= len(cut) <= len(perhaps)
    assert all(len(piece.text) <= longest for piece in cut)
    read = [line for piece in pieces if not piece.cut for line in piece.text.split("\n")]
    whole = [line for line in lines if len(line) <= longest and line]
    assert [line for line in read if 0 < len(line) <= longest] == whole


@pytest.mark.parametrize(
    ("data", "pieces"),
    [
        (b"", []),
        (b"\n", ["\n"]),
        (b"a", ["a"]),
        (b"a\nb", ["a\n", "b"]),
        (b"ab\ncd\nef", ["ab\n", "cd\n", "ef"]),
        (b"a\r\nb\r", ["a\r\n", "b\r"]),
        (b"ab\r\ncd\re", ["ab\r\n", "cd\r", "e"]),
    ],
)
def test_few_lines(data: bytes, pieces: list[str]) -> None:
    assert [piece.text for piece in _read(data, "\r\n", 3)] == pieces


def test_behind_a_line_that_was_cut_the_next_one_begins() -> None:
    pieces = _read(b"a\n" + b"b" * 50 + b"\nc\n", "\n", 4, 10)
    assert [piece.text for piece in pieces if not piece.cut] == ["a\n", "c\n"]
    assert "".join(piece.text for piece in pieces if piece.cut).strip("b") == ""


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_characters_cut_by_a_read_are_whole(size: int, encoding: str) -> None:
    data = "좋다\n나쁘다\n".encode(encoding)
    assert "".join(p.text for p in _read(data, "\n", size, encoding=encoding)) == "좋다\n나쁘다\n"


@pytest.mark.parametrize(
    ("data", "encoding", "expected"),
    [
        (b"a\xffb", "utf-8", "a\udcffb"),
        (b"\xea\xb0", "utf-8", "\udcea\udcb0"),
        (b"\xed\xa0\x80", "utf-8", "\udced\udca0\udc80"),
        (b"a\xff", "cp949", "a\udcff"),
        (b"\xb0", "cp949", "\udcb0"),
        (b"a\x00\x00\xd8b\x00", "utf-16-le", "a\ud800b"),
        (b"a\x00\x80\xdcb\x00", "utf-16-le", "a\udfffb"),
        (b"a\x00\x3d\xd8", "utf-16-le", "a\ud83d"),
    ],
)
def test_what_does_not_decode_is_marked(data: bytes, encoding: str, expected: str) -> None:
    assert "".join(read_text(io.BytesIO(data), encoding)) == expected


def test_an_end_within_a_character_of_utf16_is_an_error() -> None:
    with pytest.raises(UnicodeDecodeError, match="truncated"):
        list(read_text(io.BytesIO(b"a\x00b"), "utf-16-le"))
