from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from producer.compression import DAMAGE, decompressed
from tests.producer.reading import outcomes, zipped


def _zst(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


PACKED: list[tuple[str, str, Callable[[bytes], bytes]]] = [
    (".gz", "gzip", gzip.compress),
    (".zst", "zstd", _zst),
]
ROWS = b"id,text\n" + "".join(f"{n},{n}번째 글\n" for n in range(2_000)).encode()
each_kind = pytest.mark.parametrize(("suffix", "kind", "pack"), PACKED)


def _all(stream: IO[bytes], kind: str | None) -> bytes:
    with decompressed(stream, kind) as content:  # type: ignore[arg-type]
        return content.read()


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_what_was_packed_is_there(one: bytes, two: bytes) -> None:
    """Two streams behind each other are one content, as `cat a.gz b.gz` makes them."""
    assert _all(io.BytesIO(one), None) == one
    for _suffix, kind, pack in PACKED:
        assert _all(io.BytesIO(pack(one)), kind) == one
        assert _all(io.BytesIO(pack(one) + pack(two)), kind) == one + two


@each_kind
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.ndjson", "a.json"])
def test_every_text_format_may_be_packed(
    tmp_path: Path, name: str, suffix: str, kind: str, pack: Callable[[bytes], bytes]
) -> None:
    content = '{"text": "좋다"}' if "j" in name else "text\n좋다"
    path = tmp_path / (name + suffix.upper())
    path.write_bytes(pack(content.encode()))
    assert outcomes(path) == ["좋다"]
    archive = tmp_path / "b.zip"
    archive.write_bytes(zipped({path.name: path.read_bytes()}))
    assert outcomes(archive) == ["좋다"]


@pytest.mark.parametrize("name", ["a.parquet.gz", "a.xlsx.zst", "a.zip.gz", "a.gz", ".csv", "csv"])
def test_other_formats_are_not(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"text\nx"))
    with pytest.raises(InputError, match="not one of"):
        outcomes(tmp_path / name)


@each_kind
@pytest.mark.parametrize("kept", [0, 1, 5, 100, 5_000, -1])
def test_a_stream_that_is_cut_off_is_named(
    tmp_path: Path, kept: int, suffix: str, kind: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(pack(ROWS)[:kept])
    with pytest.raises(InputError, match=rf"^a\.csv\{suffix}: (breaks off|damaged)"):
        outcomes(path)


@each_kind
def test_a_break_far_behind_says_behind_which_row(
    tmp_path: Path, suffix: str, kind: str, pack: Callable[[bytes], bytes]
) -> None:
    rows = b"id,text\n" + "".join(f"{n},{n * 7919}번째 글\n" for n in range(200_000)).encode()
    path = tmp_path / f"a.csv{suffix}"
    packed = pack(rows)
    path.write_bytes(packed[: len(packed) * 3 // 4])
    with pytest.raises(InputError, match=rf"^a\.csv\{suffix}: (breaks off after row|damaged)"):
        outcomes(path)


@each_kind
def test_damage_is_found(
    tmp_path: Path, suffix: str, kind: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = bytearray(pack(ROWS))
    broken = bytearray(packed)
    broken[3] ^= 0xFF
    with pytest.raises(DAMAGE):
        _all(io.BytesIO(broken), kind)
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(packed + b"what is this?")
    with pytest.raises(InputError, match=rf"^a\.csv\{suffix}: "):
        outcomes(path)


@pytest.mark.parametrize("place", [-5, -1, 2_000])
def test_a_wrong_check_sum_is_found(tmp_path: Path, place: int) -> None:
    packed = bytearray(gzip.compress(ROWS))
    packed[place] ^= 1
    (tmp_path / "a.csv.gz").write_bytes(packed)
    with pytest.raises(InputError, match=r"^a\.csv\.gz: "):
        outcomes(tmp_path / "a.csv.gz")


@each_kind
def test_a_bomb_is_read_a_piece_at_a_time(
    suffix: str, kind: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = io.BytesIO(pack(b"a" * (64 << 20)))
    with decompressed(packed, kind) as content:
        assert content.read(1_000) == b"a" * 1_000
