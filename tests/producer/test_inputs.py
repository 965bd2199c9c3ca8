from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.errors import InputError
from producer.inputs import Kind, find_inputs, kind_of
from tests.producer.test_compression import PACKED

ROW = '{"id": 1, "text": "좋다"}\n'


def _names(*paths: Path, pattern: str | None = None) -> list[str]:
    return [found.name for found in find_inputs(paths, pattern=pattern)]


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(ROW)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", Kind("csv")),
        ("A.CSV", Kind("csv")),
        ("a.b.ndjson", Kind("jsonl")),
        ("a.json.gz", Kind("json", "gzip")),
        ("a.tsv.zst", Kind("tsv", "zstd")),
        ("a.parquet", Kind("parquet")),
        ("폴더/글.xlsx", Kind("xlsx")),
        ("a.parquet.gz", None),
        ("a.gz", None),
        ("a.csv.gz.gz", None),
        ("a.csv~", None),
        (".csv", None),
        ("csv", None),
        ("", None),
    ],
)
def test_a_name_says_what_it_is(name: str, kind: Kind | None) -> None:
    assert kind_of(name) == kind


def test_a_directory_is_its_files_by_name(tmp_path: Path) -> None:
    _touch(tmp_path, "b.jsonl", "a.csv", "c.json", "notes.md", "deeper/d.jsonl")
    notes: list[str] = []
    found = find_inputs([tmp_path], on_note=notes.append)
    assert [each.name for each in found] == ["a.csv", "b.jsonl", "c.json"]
    assert notes == [f"{tmp_path}: 1 files of other kinds were passed over"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.csv", ["a.csv"]),
        ("2026-*", ["2026-11-01.jsonl", "2026-11-02.jsonl"]),
        ("**/*.jsonl", ["2026-11-01.jsonl", "2026-11-02.jsonl", "d.jsonl"]),
        ("[ab].csv", ["a.csv"]),
    ],
)
def test_a_pattern_picks_files(tmp_path: Path, pattern: str, names: list[str]) -> None:
    _touch(tmp_path, "a.csv", "2026-11-02.jsonl", "2026-11-01.jsonl", "deeper/d.jsonl")
    assert _names(tmp_path, pattern=pattern) == names


@pytest.mark.parametrize("pattern", ["*.parquet", "/*", "/etc/*.csv", "deeper", "\x00"])
def test_a_pattern_that_picks_nothing_is_an_error(tmp_path: Path, pattern: str) -> None:
    _touch(tmp_path, "a.csv", "deeper/d.jsonl")
    with pytest.raises(InputError, match=r"no file matches|--pattern"):
        _names(tmp_path, pattern=pattern)


def test_several_paths_are_read_in_the_order_given(tmp_path: Path) -> None:
    _touch(tmp_path, "x/b.csv", "x/a.csv", "c.csv")
    assert _names(tmp_path / "c.csv", tmp_path / "x") == ["c.csv", "a.csv", "b.csv"]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    _touch(tmp_path, "x/a.csv", "y/a.csv", "y/b.csv")
    assert _names(tmp_path / "x", tmp_path / "y") == [
        *(f"{tmp_path}/x/a.csv", f"{tmp_path}/y/a.csv", "b.csv")
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone.csv", "no such file"),
        ("a.md", r"a\.md: not one of \.csv, .*\.zip"),
        ("empty.csv.gz", "breaks off at its beginning"),
        ("pipe.csv", "not a file"),
        ("nothing", "a directory without data"),
        ("x" * 300 + ".csv", "no such file|too long"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, words: str) -> None:
    _touch(tmp_path, "a.md")
    (tmp_path / "empty.csv.gz").touch()
    (tmp_path / "nothing").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises((InputError, OSError), match=words):
        _names(tmp_path / name)


def test_a_link_to_a_file_is_that_file_and_a_broken_one_is_none(tmp_path: Path) -> None:
    _touch(tmp_path, "x/a.csv")
    (tmp_path / "b.csv").symlink_to(tmp_path / "x" / "a.csv")
    (tmp_path / "c.csv").symlink_to(tmp_path / "gone.csv")
    assert _names(tmp_path) == ["b.csv"]
    with pytest.raises(InputError, match="no such file"):
        _names(tmp_path / "c.csv")


def test_a_name_of_other_bytes_is_shown_on_one_line(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xb1\xdb\n.csv")
    Path(name).write_text(ROW)
    assert _names(Path(name)) == ["\ufffd\ufffd\ufffd.csv"]
    with pytest.raises(InputError, match=re.escape("\ufffd\ufffd\ufffd.csv.md: no such")):
        _names(Path(name + ".md"))


def test_a_change_is_seen(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jsonl")
    (found,) = find_inputs([tmp_path / "a.jsonl"])
    assert not found.has_changed()
    (tmp_path / "a.jsonl").write_text(ROW * 2)
    assert found.has_changed()


def test_digests_are_of_the_file_and_of_its_content(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jsonl")
    (plain,) = find_inputs([tmp_path / "a.jsonl"])
    assert plain.sha256() == plain.content_sha256()
    for suffix, _kind, pack in PACKED:
        path = tmp_path / f"b.jsonl{suffix}"
        path.write_bytes(pack(ROW.encode()))
        (packed,) = find_inputs([path])
        assert packed.sha256() != plain.sha256()
        assert packed.content_sha256() == plain.content_sha256()


@pytest.mark.parametrize("format_", [None, "", "md", "zip", "gz", "parquet.gz", "jsonl.gz.gz"])
def test_standard_input_needs_a_format(format_: str | None) -> None:
    with pytest.raises(InputError, match=r"standard input needs --format, one of csv, .*xlsx"):
        find_inputs([Path("-")], format=format_)


READ_STDIN = """
import sys
from pathlib import Path
from producer.crawl import ReadOptions
from tests.producer.reading import outcomes
print(outcomes(Path("-"), ReadOptions(format=sys.argv[1])))
"""


def _standard_input(data: bytes, format_: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", READ_STDIN, format_],
        input=data,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": ".", "PYTHONIOENCODING": "utf-8"},
    )


@pytest.mark.parametrize(
    ("format_", "data"),
    [
        ("jsonl", ROW.encode()),
        ("csv", "id,text\n1,좋다\n".encode("cp949")),
        *((f"jsonl{suffix}", pack(ROW.encode())) for suffix, _kind, pack in PACKED),
    ],
    # Not the data, which hold the time that they were packed at: a test has one name.
    ids=["jsonl", "csv", *(f"jsonl{suffix}" for suffix, _kind, _pack in PACKED)],
)
def test_standard_input_is_read_as_a_file(format_: str, data: bytes) -> None:
    ran = _standard_input(data, format_)
    assert ran.stdout.decode() == "['좋다']\n", ran.stderr.decode()


def test_standard_input_needs_ids() -> None:
    ran = _standard_input(b"text\nx\n", "csv")
    assert b"standard input has no id column; name one with --id-column" in ran.stderr


def test_reading_an_input_leaves_no_thread_and_no_file_open(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jsonl")
    before = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    for _ in range(20):
        (found,) = find_inputs([tmp_path / "a.jsonl"])
        with found.open() as opened:
            assert opened.stream.read() == ROW.encode()
            assert opened.position() == len(ROW.encode())
    assert (len(list(Path("/proc/self/fd").iterdir())), threading.active_count()) == before
