"""Files that nobody meant to send: whole ones, then broken in every way that bytes can be."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet
from hypothesis import strategies as st
from openpyxl import Workbook

TEXT_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
SUFFIXES = (*TEXT_SUFFIXES, ".parquet", ".xlsx", ".zip")

_TEXTS = (
    *("정말 좋았다", "첫 줄\n둘째 줄", '그는 "최고"라고 했다', "쉼표, 그리고\t탭", "\u3164", ""),
    *(
        "널\x00문자",
        "줄\u2028끝\u0085아님",
        "\\.",
        "첫\n\\.\n셋",
        "😊😊",
        "=1+1",
        "\u1112\u1161\u11ab",
    ),
)
_TIMES = ("2026-11-01", "2026.11.01 09:30", "", "어제", "1793493000", "2026-11-01T00:30:00Z")

# What a mutation puts in: what means something to one format or another.
_TOKENS = (
    *(b"\x00", b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"\t", b"[", b"]", b"{", b"}", b":"),
    *(b"\xff", b"\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\xb0\xa1", b"\xc8"),
    *(b"\\", b"\\u0000", b"\\ud800", b"NaN", b"1e9999999999999999999", b"-Infinity", b"null"),
    *(
        b"9" * 5_000,
        b"[" * 2_000,
        b'{"a":' * 150,
        b'"a","b"\n' * 60,
        b" " * 70,
        b"PAR1",
        b"PK\x03\x04",
    ),
    *("본문".encode(), "가".encode("utf-16-le"), b"'", b";", b"|", b"0", b'"text"', b"\n\\.\n"),
)


def _rows(count: int) -> list[dict[str, object]]:
    return [
        {
            "id": n if n % 3 else f"글-{n}",
            "text": _TEXTS[n % len(_TEXTS)],
            "written_at": _TIMES[n % len(_TIMES)],
            "likes": n,
        }
        for n in range(count)
    ]


def _delimited(delimiter: str, newline: str = "\n", *, always: bool = False) -> str:
    def cell(value: object) -> str:
        shown = str(value).replace('"', '""')
        odd = any(mark in shown for mark in (delimiter, '"', "\n", "\r"))
        return f'"{shown}"' if odd or always else shown

    rows = _rows(13)
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(delimiter.join(map(cell, line)) + newline for line in lines)


def _json_lines() -> str:
    return "".join(
        json.dumps(row, ensure_ascii=n % 2 == 0) + "\n" for n, row in enumerate(_rows(13))
    )


def _parquet(**options: object) -> bytes:
    rows = _rows(13)
    table = pa.table(
        {
            "id": [str(row["id"]) for row in rows],
            "text": [row["text"] for row in rows],
            "written_at": pa.array([datetime(2026, 11, 1)] * 13, pa.timestamp("ms")),
            "likes": pa.array([Decimal(n) for n in range(13)]),
        }
    )
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream, row_group_size=5, **options)
    return stream.getvalue()


def _excel() -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["글번호", "본문", "작성일"])
    for n in range(6):
        sheet.append([f"00{n}", f"{n}번째 글", datetime(2026, 11, 1, 9, 30)])
    sheet.append([7, None, "#N/A"])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def _zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


_JSON_LINES = _json_lines().encode()
_ARRAY = json.dumps(_rows(13), ensure_ascii=False, indent=1).encode()

WHOLE: dict[str, list[bytes]] = {
    ".csv": [
        _delimited(",").encode(),
        _delimited(",", "\r\n", always=True).encode("utf-8-sig"),
        _delimited(";", "\r").encode("utf-16"),
        "글번호,본문\n1,햏햏 좋다\n2,가각\n".encode("cp949"),
    ],
    ".tsv": [_delimited("\t").encode(), _delimited("\t", "\r\n", always=True).encode("utf-16")],
    ".jsonl": [_JSON_LINES, _json_lines().encode("utf-16"), b"\xef\xbb\xbf" + _JSON_LINES],
    ".ndjson": [_JSON_LINES.replace(b"\n", b"\r\n"), '{"본문": "가각"}\n'.encode("cp949") * 3],
    ".json": [_ARRAY, _JSON_LINES, json.dumps(_rows(9)).encode(), _ARRAY.decode().encode("utf-16")],
    ".parquet": [
        _parquet(),
        _parquet(compression="zstd", use_dictionary=False, data_page_version="2.0"),
        _parquet(compression="none", write_statistics=False),
    ],
    ".xlsx": [_excel()],
}
WHOLE[".zip"] = [
    _zipped({"a.csv": WHOLE[".csv"][0], "b/c.jsonl": _JSON_LINES, "notes.md": b"x"}),
    _zipped({"a.parquet": WHOLE[".parquet"][0], "d.json.gz": gzip.compress(_ARRAY)}),
    _zipped({"a.csv": WHOLE[".csv"][0]}, zipfile.ZIP_STORED),
    _zipped({"a.csv": WHOLE[".csv"][0]}, zipfile.ZIP_BZIP2),
    _zipped({"a.csv": WHOLE[".csv"][0]}, zipfile.ZIP_LZMA),
    _zipped({"a.xlsx": WHOLE[".xlsx"][0]}),
]


def _places(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 1, 2, 4, 16, 200)))


def _spliced(data: bytes, rng: random.Random, token: bytes) -> bytes:
    start, end = _places(data, rng)
    return data[:start] + token + data[rng.choice((start, end)) :]


def _flipped(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return data
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]


def _without(data: bytes, rng: random.Random) -> bytes:
    start, end = _places(data, rng)
    return data[:start] + data[end:]


def _doubled(data: bytes, rng: random.Random) -> bytes:
    start, end = _places(data, rng)
    return data[:end] + data[start:]


_MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    lambda data, rng: data[: rng.randrange(len(data) + 1)],
    lambda data, rng: data[rng.randrange(len(data) + 1) :],
    lambda data, rng: _spliced(data, rng, rng.choice(_TOKENS)),
    lambda data, rng: _spliced(data, rng, rng.choice(_TOKENS)),
    lambda data, rng: _spliced(data, rng, rng.randbytes(rng.randrange(1, 9))),
    _flipped,
    _flipped,
    _without,
    _doubled,
)


def mutated(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 8))):
        data = rng.choice(_MUTATIONS)(data, rng)
    return data


def _members_mutated(data: bytes, rng: random.Random) -> bytes:
    """An archive that is whole, with a member that is not: its check sums are right."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    broken = rng.choice(sorted(members))
    members[broken] = mutated(members[broken], rng)
    return _zipped(members)


def _zipped_raw(content: bytes, suffix: str, rng: random.Random) -> bytes:
    names = (f"a{suffix}", f"글/{suffix}", "../a.csv", "/a.csv", f"b\n{suffix}", f"C:\\x{suffix}")
    return _zipped({rng.choice((names[0], *names)): content})


@st.composite
def broken_files(draw: st.DrawFn, suffixes: Sequence[str] = SUFFIXES) -> tuple[str, bytes]:
    """A name's suffix, and the bytes of the file."""
    suffix = draw(st.sampled_from(suffixes))
    if draw(st.integers(0, 9)) == 0:
        return suffix, draw(st.binary(max_size=200))
    rng = random.Random(draw(st.integers(0, 1 << 48)))
    whole = rng.choice(WHOLE[suffix])
    if suffix in (".xlsx", ".zip") and rng.random() < 0.7:
        return suffix, _members_mutated(whole, rng)
    data = mutated(whole, rng)
    if suffix != ".zip" and rng.random() < 0.1:
        return ".zip", _zipped_raw(data, suffix, rng)
    if suffix in TEXT_SUFFIXES and rng.random() < 0.25:
        packed, pack = rng.choice(((".gz", gzip.compress), (".zst", _zst)))
        data = pack(data)
        return suffix + packed, (data if rng.random() < 0.5 else mutated(data, rng))
    return suffix, data


def _zst(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))
