from __future__ import annotations

import io
import re
import stat
import time
import zipfile
from pathlib import Path

import pytest

from core.errors import InputError
from producer import archives
from producer.archives import list_members
from producer.columns import ColumnOptions
from producer.crawl import ReadOptions, find_files
from tests.producer.reading import outcomes, zipped

CSV = "id,text\n1,좋다\n".encode()


def _file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    return path


def _names(path: Path) -> list[str]:
    return [member.name for member in list_members(path, path.name)]


def test_members_are_read_in_order_of_their_names(tmp_path: Path) -> None:
    members = {"b.jsonl": b'{"text": "b"}', "a/z.csv": b"text\nz", "a/a.csv": b"text\na", "a/": b""}
    path = _file(tmp_path, zipped({**members, "__MACOSX/._b.jsonl": b"x", "notes.md": b"x"}))
    assert outcomes(path) == ["a", "z", "b"]
    notes: list[str] = []
    files = find_files([path], ReadOptions(), on_note=notes.append)
    assert [file.name for file in files] == ["a.zip/a/a.csv", "a.zip/a/z.csv", "a.zip/b.jsonl"]
    assert notes == ["a.zip: 1 members of other kinds were passed over"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../a.csv", "leads out"),
        ("a/../../b.csv", "leads out"),
        ("/etc/a.csv", "leads out"),
        ("C:\\a.csv", "leads out"),
        ("C:/a.csv", "leads out"),
        ("..\\a.csv", "leads out"),
        ("\\a.csv", "leads out"),
    ],
)
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str, words: str) -> None:
    path = _file(tmp_path, zipped({"good.csv": CSV, name: CSV}))
    with pytest.raises(InputError, match=rf"^a\.zip: the member .* {words}"):
        outcomes(path)


@pytest.mark.parametrize("name", ["a..b.csv", "..a.csv", "가/나 다.csv", "a:b.csv", "-.csv"])
def test_a_harmless_name_is_none(tmp_path: Path, name: str) -> None:
    assert outcomes(_file(tmp_path, zipped({name: CSV}))) == ["좋다"]


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="is a link"):
        outcomes(_file(tmp_path, stream.getvalue()))


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.csv": CSV}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(InputError, match="is encrypted"):
        outcomes(_file(tmp_path, bytes(content)))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.csv", CSV)
        archive.writestr("a.csv", CSV)
    with pytest.raises(InputError, match="two members have the same name"):
        outcomes(_file(tmp_path, stream.getvalue()))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_that_cannot_be_streamed_is_refused(tmp_path: Path, method: int) -> None:
    path = _file(tmp_path, zipped({"a.csv": CSV}, method))
    with pytest.raises(InputError, match="another method than deflate"):
        outcomes(path)


def test_a_member_that_would_blow_up_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _file(tmp_path, zipped({"a.csv": b"text\n" + b"a" * 1_000_000}))
    assert outcomes(path) == ["a" * 1_000_000]
    monkeypatch.setattr(archives, "RATIO_FROM_BYTES", 1_000)
    with pytest.raises(InputError, match=r"'a\.csv' would grow more than 200 times"):
        outcomes(path)


def test_a_member_never_gives_more_than_it_promised(tmp_path: Path) -> None:
    """The size that is checked is the one at which reading ends."""
    content = bytearray(zipped({"a.csv": b"text\n" + b"a" * 1_000_000}))
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = (1_000).to_bytes(4, "little")
    with pytest.raises(InputError, match=r"^a\.zip/a\.csv: "):
        outcomes(_file(tmp_path, bytes(content)))


def test_names_of_a_korean_windows(tmp_path: Path) -> None:
    content = zipped({"aaaa.csv": CSV}).replace(b"aaaa", "글글".encode("cp949"))
    assert _names(_file(tmp_path, content)) == ["글글.csv"]
    assert outcomes(tmp_path / "a.zip") == ["좋다"]


def test_names_of_no_encoding(tmp_path: Path) -> None:
    content = zipped({"aaaa.csv": CSV}).replace(b"aaaa", b"a\xffa\xff")
    assert outcomes(_file(tmp_path, content)) == ["좋다"]


def test_a_name_with_line_ends_is_shown_on_one_line(tmp_path: Path) -> None:
    path = _file(tmp_path, zipped({"a\n\x1b[2J.csv": b"x\n1"}))
    with pytest.raises(InputError, match=re.escape("a.zip/a\ufffd\ufffd[2J.csv: no text")):
        outcomes(path)


def _nameless() -> bytes:
    """An archive whose member has no name: zipfile reads such a one, and would not write it."""
    content = bytearray(zipped({"ab": b"x"}))
    entry = content.index(b"PK\x01\x02")
    content[entry + 28 : entry + 32] = b"\x00\x00\x02\x00"  # name: 0 bytes, extra field: 2
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a zip archive"),
        (b"PK\x03\x04", "not a zip archive"),
        (zipped({"a.csv": CSV})[:-9], "not a zip archive"),
        (zipped({"a.md": b"x"}), "an archive without data"),
        (zipped({}), "an archive without data"),
        (_nameless(), "an archive without data"),
        (zipped({"a.zip": zipped({"a.csv": CSV})}), "an archive without data"),
    ],
)
def test_what_is_no_archive_of_data(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=rf"^a\.zip: .*{words}"):
        outcomes(_file(tmp_path, content))


def test_damage_within_a_member_is_named(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n}번째 글\n" for n in range(50_000))
    content = bytearray(zipped({"good.csv": CSV, "bad.csv": b"id,text\n" + rows.encode()}))
    place = len(content) // 2
    content[place : place + 50] = bytes(50)
    with pytest.raises(InputError, match=r"^a\.zip/bad\.csv: "):
        outcomes(_file(tmp_path, bytes(content)))


def test_members_of_members(tmp_path: Path) -> None:
    inner = zipped({"a.csv": b"text,x\n\xec\xa2\x8b,1\n"})
    path = _file(tmp_path, inner)
    options = ReadOptions(ColumnOptions(keep=("x",)))
    assert outcomes(path, options) == ["좋"]


def test_an_archive_of_many_files_is_read_in_the_time_of_its_files(tmp_path: Path) -> None:
    """Its directory and its digest are read once, not once for each of them."""
    count = 4_000
    path = _file(
        tmp_path, zipped({f"{n:05}.json": b'{"id": 1, "text": "x"}' for n in range(count)})
    )
    begun = time.process_time()
    assert outcomes(path) == ["x"] * count
    assert time.process_time() - begun < 40
