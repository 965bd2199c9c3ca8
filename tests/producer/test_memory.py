"""Memory stays flat for files that would fill it: each is read by a process of its own."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.producer.formats.test_excel import NAMESPACE, _made

pytestmark = pytest.mark.slow

LIMIT_MB = 600
READ = r"""
import json, re, sys
from collections import Counter, deque
from pathlib import Path
from core.errors import InputError
from producer.crawl import ReadOptions, find_files
from producer.slices import make_slices
from tests.crawls import SEOUL

rows, error = Counter(), None
alive = deque(maxlen=3)  # as in a load: one is made, one waits, one is written
try:
    for slice_ in make_slices(find_files([Path(sys.argv[1])], ReadOptions()), SEOUL):
        alive.append(slice_)
        for _file, block in slice_.parts:
            rows["accepted"] += block.documents.num_rows
            rows.update(reject.code for reject in block.rejects)
except InputError as raised:
    error = str(raised)
# Not getrusage: that is no less than what the tests' own process had when it started this one.
peak_mb = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"rows": rows, "error": error, "peak_mb": peak_mb}))
"""


def _gzipped(path: Path, pieces: Iterator[bytes]) -> None:
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for piece in pieces:
            stream.write(piece)


def _times(count: int, piece: bytes, begin: bytes = b"", end: bytes = b"") -> Iterator[bytes]:
    yield begin
    for _ in range(count):
        yield piece
    yield end


MEBIBYTE = 1 << 20
GOOD_LINE = '{"id": "a", "text": "좋다"}\n'.encode()


def _one_line(tmp_path: Path) -> Path:
    """300 MB without a newline, between two good lines."""
    path = tmp_path / "a.jsonl.gz"
    begin = GOOD_LINE + b'{"id": "b", "text": "'
    _gzipped(path, _times(300, b"a" * MEBIBYTE, begin, b'"}\n' + GOOD_LINE.replace(b'"a"', b'"c"')))
    return path


def _open_quote(tmp_path: Path) -> Path:
    """100 MB behind a quote that is never closed, in lines."""
    path = tmp_path / "a.csv.gz"
    lines = "2,다음 줄도 글이다\n".encode() * 40_000
    _gzipped(path, _times(100, lines, 'id,text\n1,"열린 따옴표\n'.encode()))
    return path


def _blank(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    _gzipped(path, _times(500, b"\n" * MEBIBYTE))
    return path


def _long_lines(tmp_path: Path) -> Path:
    """Lines of five million characters, nearly all in a column that is not read."""
    path = tmp_path / "a.jsonl.gz"
    line = '{"text": "좋다", "html": "'.encode() + "가".encode() * 5_000_000 + b'"}\n'
    _gzipped(path, _times(20, line))
    return path


def _one_element(tmp_path: Path) -> Path:
    path = tmp_path / "a.json.gz"
    _gzipped(path, _times(300, b"a" * MEBIBYTE, b'[{"text": "', b'"}]'))
    return path


def _space(tmp_path: Path) -> Path:
    path = tmp_path / "a.json.gz"
    _gzipped(path, _times(400, b" " * MEBIBYTE, b'[{"text": "x"},', b'{"text": "y"}]'))
    return path


def _row_group(tmp_path: Path) -> Path:
    """A million texts of a kibibyte in one row group."""
    path = tmp_path / "a.parquet"
    text = "가나다라마바사" * 50
    kind = pa.schema([("id", pa.int64()), ("text", pa.string())])
    texts = pa.array([f"{n} {text[n % 50 :]}" for n in range(1_000)]).take(
        pa.array(range(1_000_000), pa.int64()).to_numpy() % 1_000
    )
    table = pa.table([pa.array(range(1_000_000)), texts], schema=kind)
    pyarrow.parquet.write_table(table, path, row_group_size=1_000_000, use_dictionary=False)
    return path


def _wide_rows(tmp_path: Path) -> Path:
    """Texts of nearly a mebibyte, which pack into nothing. (A page is always held whole.)"""
    path = tmp_path / "a.parquet"
    text = "가" * 340_000
    table = pa.table({"text": pa.array([f"{n} {text}" for n in range(300)], pa.string())})
    pyarrow.parquet.write_table(
        table, path, compression="zstd", use_dictionary=False, write_batch_size=8
    )
    return path


def _repeated_rows(tmp_path: Path) -> Path:
    """The same, written once and pointed at from every row."""
    path = tmp_path / "a.parquet"
    indices = pa.array([0] * 2_000, pa.int32())
    texts = pa.DictionaryArray.from_arrays(indices, pa.array(["가" * 340_000]))
    pyarrow.parquet.write_table(pa.table({"text": texts}), path)
    return path


def _excel_strings(tmp_path: Path) -> Path:
    """A quarter of a million long strings that cells share."""
    count = 250_000
    strings = "".join(f"<si><t>{n}{'글' * 300}{n * 7919}</t></si>" for n in range(count))
    head = '<row><c t="inlineStr"><is><t>text</t></is></c></row>'
    rows = "".join(f'<row ht="9"><c t="s"><v>{n}</v></c></row>' for n in range(count))
    assert NAMESPACE
    return _made(tmp_path, head + rows, strings)


def _archive(tmp_path: Path) -> Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(_one_line(tmp_path), "a.jsonl.gz")
    return path


@pytest.mark.parametrize(
    ("make", "rows", "error"),
    [
        (_one_line, {"accepted": 2, "row_too_long": 1}, None),
        (_archive, {"accepted": 2, "row_too_long": 1}, None),
        (_open_quote, {"accepted": 4_000_000, "open_quote": 1}, None),
        (lambda tmp_path: _blank(tmp_path, "a.csv.gz"), {}, None),
        (lambda tmp_path: _blank(tmp_path, "a.jsonl.gz"), {}, None),
        (lambda tmp_path: _blank(tmp_path, "a.json.gz"), {}, None),
        (_long_lines, {"accepted": 20}, None),
        (_one_element, {}, "a.json.gz: "),
        (_space, {"accepted": 2}, None),
        (_row_group, {"accepted": 1_000_000}, None),
        (_wide_rows, {"accepted": 300}, None),
        (_repeated_rows, {"accepted": 2_000}, None),
        (_excel_strings, {"accepted": 250_000}, None),
    ],
    ids=lambda value: getattr(value, "__name__", "").strip("_") or None,
)
def test_memory_stays_flat(
    tmp_path: Path, make: Callable[[Path], Path], rows: dict[str, int], error: str | None
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", READ, make(tmp_path)],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    read = json.loads(ran.stdout)
    print(make.__name__, round(read["peak_mb"]))  # noqa: T201
    assert read["peak_mb"] < LIMIT_MB
    assert read["rows"] == rows
    assert (read["error"] or "").startswith(error or "")
    assert (read["error"] is None) == (error is None)
