from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from producer import encodings
from producer.encodings import check_encoding, decode, find_encoding, has_undecoded

KOREAN = "글번호,본문\n1,햏햏 정말 좋았다\n"


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        (b"", "utf-8"),
        (b"id,text\n1,good\n", "utf-8"),
        (KOREAN.encode(), "utf-8"),
        (KOREAN.encode("utf-8-sig"), "utf-8-sig"),
        (KOREAN.encode("cp949"), "cp949"),
        (KOREAN.encode("utf-16"), "utf-16"),
        (codecs.BOM_UTF16_BE + KOREAN.encode("utf-16-be"), "utf-16"),
        (codecs.BOM_UTF8 + b"\xff", "utf-8-sig"),
    ],
)
def test_the_encoding_is_judged(head: bytes, encoding: str) -> None:
    assert find_encoding(head, "a.csv") == encoding


@pytest.mark.parametrize(
    "head",
    [b"\x80", b"a\xff", "글".encode()[:1], KOREAN.encode() + b"\xff", KOREAN.encode("utf-16-le")],
)
def test_what_fits_neither_is_an_error_that_names_the_file(head: bytes) -> None:
    with pytest.raises(InputError, match=r"^a\.csv: neither UTF-8 nor CP949; .*--encoding"):
        find_encoding(head, "a.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_a_head_may_end_within_a_character(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    head = ("가" * 50).encode(encoding)[:-1]
    monkeypatch.setattr(encodings, "JUDGED_BYTES", len(head))
    assert find_encoding(head, "a.csv") == encoding


@pytest.mark.parametrize(
    ("named", "encoding"),
    [("UTF8", "utf-8"), ("euc-kr", "euc_kr"), ("MS949", "cp949"), ("latin1", "iso8859-1")],
)
def test_a_named_encoding(named: str, encoding: str) -> None:
    assert check_encoding(named) == encoding


@pytest.mark.parametrize("named", ["utf-99", "base64", "rot13", "hex", "", "\x00", "글", "idna"])
def test_what_is_no_encoding_of_text(named: str) -> None:
    with pytest.raises(InputError, match="no such encoding"):
        check_encoding(named)


@given(st.binary(max_size=60), st.integers(1, 7), st.sampled_from(["utf-8", "cp949"]))
def test_no_byte_is_dropped(data: bytes, size: int, encoding: str) -> None:
    """Cut anywhere it decodes to the same, and what did not decode is known for it."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    decoded = "".join(decode(pieces, encoding))
    mark = codecs.BOM_UTF8 if encoding == "utf-8" else b""
    assert decoded == data.decode(encoding, "surrogateescape").removeprefix("\ufeff")
    assert decoded.encode(encoding, "surrogateescape") == data.removeprefix(mark)
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        assert has_undecoded(decoded)
    else:
        assert not has_undecoded(decoded)


@given(st.text(st.characters(exclude_categories=()), max_size=30), st.integers(1, 5))
def test_utf16_has_half_pairs_and_no_marks(text: str, size: int) -> None:
    data = ("." + text).encode("utf-16", "surrogatepass")
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    decoded = "".join(decode(pieces, "utf-16"))
    assert not has_undecoded(decoded)
    assert decoded[1:].encode("utf-8", "replace") == text.encode("utf-16", "surrogatepass").decode(
        "utf-16", "surrogatepass"
    ).encode("utf-8", "replace")
