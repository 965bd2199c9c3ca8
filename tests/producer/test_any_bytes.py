"""Any bytes under any of our names: rows that are all accounted for, or one line that says why not.

The number of examples is of each of the eight suffixes, and a long look takes longer than a test
may: `NIFOS_TEST_EXAMPLES=12500 pytest --timeout=0 tests/producer/test_any_bytes.py` tries 100,000.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import text

from core.errors import InputError
from db.crawls import CrawlCounts
from db.engine import Engine, transaction
from producer.columns import ColumnOptions
from producer.crawl import CrawlFile, ReadOptions, find_files, read
from producer.ingest import ingest
from producer.storable import printable, storable
from tests.crawls import SEOUL
from tests.producer.any_bytes import SUFFIXES, broken_files

EXAMPLES = int(os.environ.get("NIFOS_TEST_EXAMPLES", "160"))  # of each suffix
LOADED_EXAMPLES = max(60, EXAMPLES // 40)
LIMIT_S = 30  # for a file of some thousand bytes on a machine that does other things too

FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
_KEEP = ReadOptions(ColumnOptions(keep=("likes",)))


def _check_file(file: CrawlFile) -> list[str]:
    """Read a file and see that every row of it is there once. Returns its texts."""
    expected, texts = 1, []
    for block in read(file, SEOUL):
        documents = block.documents.to_pylist()
        rejected = [reject.row_number for reject in block.rejects]
        numbers = sorted([row["row_number"] for row in documents] + rejected)
        assert numbers == list(range(expected, expected + block.rows))
        assert rejected == sorted(rejected)
        expected += block.rows
        for row in documents:
            assert row["text"] == storable(row["text"]) != ""
            assert row["external_id"]
            texts.append(row["text"])
        for reject in block.rejects:
            assert "\0" not in reject.held.text + reject.message
            assert len(reject.held.text.encode()) <= 4_096
    return texts


def _check_error(error: InputError, name: str) -> None:
    line = str(error)
    assert name in line
    assert line == printable(line)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_bytes_are_rows_or_one_line_of_error(suffix: str, tmp_path: Path) -> None:
    @FUZZ
    @given(broken_files([suffix]))
    def check(broken: tuple[str, bytes]) -> None:
        path = tmp_path / f"글{broken[0]}"
        path.write_bytes(broken[1])
        begun = time.monotonic()
        for options in (ReadOptions(), _KEEP):
            try:
                for file in find_files([path], options):
                    _check_file(file)
            except InputError as error:
                _check_error(error, path.name)
        assert time.monotonic() - begun < LIMIT_S

    check()


@pytest.mark.slow
def test_any_bytes_in_the_database(engine: Engine, active_version: int, tmp_path: Path) -> None:
    @settings(FUZZ, max_examples=LOADED_EXAMPLES)
    @given(broken_files())
    def check(broken: tuple[str, bytes]) -> None:
        path = tmp_path / f"글{broken[0]}"
        path.write_bytes(broken[1])
        with transaction(engine) as connection:
            connection.execute(text("truncate crawl, chunk, document, reject, scoring cascade"))
        try:
            files = find_files([path], _KEEP if len(broken[1]) % 2 else ReadOptions())
            loaded = ingest(engine, "글", files, zone=SEOUL)
        except InputError as error:
            _check_error(error, path.name)
            assert _tables(engine) == ([], [], 0, 0)
            return
        _check_loaded(engine, files, loaded.counts)

    check()


def _check_loaded(engine: Engine, files: list[CrawlFile], counts: CrawlCounts) -> None:
    crawls, texts, rejects, chunked = _tables(engine)
    assert counts.read == counts.accepted + counts.duplicate + counts.rejected
    assert crawls == [(counts.read, counts.accepted, counts.duplicate, counts.rejected)]
    assert (len(texts), rejects, chunked) == (counts.accepted, counts.rejected, counts.accepted)
    given_texts = [found for file in files for found in _check_file(file)]
    assert set(texts) <= set(given_texts)
    if counts.accepted == len(given_texts):
        assert texts == given_texts


def _tables(engine: Engine) -> tuple[list[tuple[int, ...]], list[str], int, int]:
    with transaction(engine) as connection:
        crawls = connection.execute(text("select read, accepted, duplicate, rejected from crawl"))
        return (
            [tuple(row) for row in crawls],
            list(connection.scalars(text("select text from document order by id"))),
            connection.scalar(text("select count(*) from reject")) or 0,
            int(connection.scalar(text("select coalesce(sum(n_documents), 0) from chunk")) or 0),
        )
