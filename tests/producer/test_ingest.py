"""Loads on a real PostgreSQL: what is accepted, what is refused, what a killed load leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from core.errors import InputError, ModelError, ServiceError
from db import crawls, locks, versions
from db.crawls import CrawlCounts
from db.engine import Engine, make_engine, session, transaction
from producer import ingest as ingest_module
from producer import slices
from producer.chunks import CHUNK_CHARACTERS, CHUNK_DOCUMENTS
from producer.crawl import ReadOptions, find_files
from producer.formats import decoded
from producer.ingest import LoadedCrawl
from tests.crawls import SEOUL, load_files, load_posts, posts, write_jsonl


def _scalars(engine: Engine, query: str) -> list[object]:
    with transaction(engine) as connection:
        return list(connection.scalars(text(query)))


def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some hundred rows each."""
    monkeypatch.setattr(slices, "SLICE_ROWS", 500)
    monkeypatch.setattr(decoded, "READ_BYTES", 1 << 15)


def test_every_row_is_accepted_duplicate_or_rejected(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    rows = [*posts(10), posts(1)[0], {**posts(2)[1], "text": "다른 글"}, {"id": "x"}, "{"]
    loaded = load_files(engine, "blog", [write_jsonl(tmp_path / "a.jsonl", rows)])
    assert loaded.counts == CrawlCounts(read=14, accepted=10, duplicate=1, rejected=3)
    assert (loaded.chunks, loaded.version) == (1, "v1")
    codes = _scalars(engine, "select code from reject order by row_number")
    assert codes == ["id_conflict", "no_text", "bad_json"]
    assert _scalars(engine, "select held from reject where code = 'bad_json'") == ["{"]
    assert _scalars(engine, "select state from scoring") == ["pending"]
    assert _scalars(engine, "select files ->> 0 is not null from crawl") == [True]


def test_the_same_file_again_changes_nothing(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    load_posts(engine, tmp_path, 100)
    again = load_posts(engine, tmp_path, 100)
    assert again.counts == CrawlCounts(read=100, accepted=0, duplicate=100, rejected=0)
    assert again.chunks == 0
    assert _scalars(engine, "select count(*) from document") == [100]


def test_the_same_id_in_another_source_is_another_document(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    load_posts(engine, tmp_path, 5, source="blog")
    assert load_posts(engine, tmp_path, 5, source="news").counts.accepted == 5


def test_chunks_are_full_across_slices_and_files(
    engine: Engine, active_version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _small_slices(monkeypatch)
    paths = [
        write_jsonl(tmp_path / "a.jsonl", posts(5_000)),
        write_jsonl(tmp_path / "b.jsonl", posts(5_000, start=4_500)),
    ]
    loaded = load_files(engine, "blog", paths)
    assert loaded.counts == CrawlCounts(read=10_000, accepted=9_500, duplicate=500, rejected=0)
    sizes = _scalars(engine, "select n_documents from chunk order by id")
    assert sizes == [CHUNK_DOCUMENTS, CHUNK_DOCUMENTS, 9_500 - 2 * CHUNK_DOCUMENTS]
    counted = _scalars(engine, "select count(*) from document group by chunk_id order by chunk_id")
    assert counted == sizes


def test_chunks_are_bounded_in_characters_too(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    each = 300_000
    rows = [{"id": n, "text": "긴 글 " * (each // 4)} for n in range(30)]
    loaded = load_files(engine, "blog", [write_jsonl(tmp_path / "a.jsonl", rows)])
    largest = _scalars(
        engine,
        "select max(n) from (select sum(char_length(text)) as n from document group by chunk_id) c",
    )
    assert loaded.chunks == 3
    assert int(str(largest[0])) <= CHUNK_CHARACTERS + each


def test_texts_come_back_as_they_were(engine: Engine, active_version: int, tmp_path: Path) -> None:
    awkward = [
        "탭\t줄\n바꿈\r역\\슬래시",
        "\\N",
        "\\.",
        "'; drop table document; --",
        "😊",
        "\x7f\x01",
    ]
    rows = [{"id": str(n), "text": words} for n, words in enumerate(awkward)]
    load_files(engine, "blog", [write_jsonl(tmp_path / "a.jsonl", rows)])
    assert _scalars(engine, "select text from document order by external_id") == awkward


def test_a_file_that_breaks_off_leaves_nothing(
    engine: Engine, active_version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _small_slices(monkeypatch)
    path = tmp_path / "a.csv"
    # Good for the first MiB and then half a character: found while reading, not before.
    good = "id,text\n" + "".join(f"{n},글 {n}\n" for n in range(60_000))
    path.write_bytes(good.encode("utf-16") + b"\x00")
    with pytest.raises(InputError, match=r"a\.csv: breaks off after row 60,000"):
        load_files(engine, "blog", [path])
    for table in ("crawl", "chunk", "document", "scoring", "reject"):
        assert _scalars(engine, f"select count(*) from {table}") == [0]


def test_a_killed_load_is_begun_anew(
    engine: Engine, active_version: int, database_url: str, tmp_path: Path
) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", posts(40_000))
    code = (
        "import os, signal, sys; from pathlib import Path; from db.engine import make_engine;"
        "from producer.ingest import ingest; from producer.crawl import ReadOptions, find_files;"
        "from zoneinfo import ZoneInfo;"
        "ingest(make_engine(sys.argv[1]), 'blog',"
        " find_files([Path(sys.argv[2])], ReadOptions()), zone=ZoneInfo('Asia/Seoul'),"
        " on_progress=lambda p: os.kill(os.getpid(), signal.SIGKILL))"
    )
    killed = subprocess.run([sys.executable, "-c", code, database_url, path], check=False)
    assert killed.returncode == -9
    assert _scalars(engine, "select state from crawl") == ["loading"]
    assert _scalars(engine, "select count(*) > 0 from document") == [True]
    assert _scalars(engine, "select count(*) from scoring") == [0]
    loaded = load_files(engine, "blog", [path])
    assert loaded.counts == CrawlCounts(read=40_000, accepted=40_000, duplicate=0, rejected=0)
    assert _scalars(engine, "select count(*) from crawl") == [1]
    assert _scalars(engine, "select count(*) from document") == [40_000]


def test_one_load_per_source_at_a_time(engine: Engine, active_version: int, tmp_path: Path) -> None:
    with session(engine) as other:
        source_id = crawls.ensure_source(other, "blog")
        other.commit()
        assert locks.try_load_lock(other, source_id)
        with pytest.raises(ServiceError, match="another load is running"):
            load_posts(engine, tmp_path, 5)
        load_posts(engine, tmp_path, 5, source="news")
        locks.release_load_lock(other, source_id)
        other.commit()
    assert load_posts(engine, tmp_path, 5).counts.accepted == 5


def test_two_sources_load_side_by_side(engine: Engine, active_version: int, tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=load_posts, args=(engine, tmp_path, 5_000, f"source-{n}"))
        for n in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _scalars(engine, "select sum(accepted) from crawl where state = 'released'") == [10_000]


def test_without_an_active_version_nothing_is_loaded(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no version is active"):
        load_posts(engine, tmp_path, 5)
    assert _scalars(engine, "select count(*) from document") == [0]


def test_an_interrupted_load_leaves_nothing(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    def interrupt(_progress: object) -> None:
        raise KeyboardInterrupt

    found = find_files([write_jsonl(tmp_path / "a.jsonl", posts(10))], ReadOptions())
    with pytest.raises(KeyboardInterrupt):
        ingest_module.ingest(engine, "blog", found, zone=SEOUL, on_progress=interrupt)
    assert _scalars(engine, "select count(*) from crawl") == [0]
    assert load_files(engine, "blog", [tmp_path / "a.jsonl"]).counts.accepted == 10


def test_a_first_load_does_not_scan_what_it_has_loaded(
    engine: Engine, active_version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planner knows nothing of a table that was empty a moment ago."""
    _small_slices(monkeypatch)
    load_posts(engine, tmp_path, 10_000)
    load_posts(engine, tmp_path, 10_000)
    engine.dispose()  # a session reports its statistics when it ends
    # Whether by the table or by an index: rows of `document` that were looked at.
    query = (
        "select seq_tup_read + (select sum(idx_tup_read) from pg_stat_user_indexes"
        " where relname = 'document') from pg_stat_user_tables"
        " where relname = 'document' and n_tup_ins = 10000"
    )
    deadline = time.monotonic() + 20
    while not (found := _scalars(engine, query)):
        assert time.monotonic() < deadline
    assert int(str(found[0])) < 100_000


def test_a_version_activated_while_a_load_is_released(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    with transaction(engine) as connection:
        newer = versions.register_version(
            connection, name="v2", store_path="v2", checksums={}, metrics={}
        )
    released: list[LoadedCrawl] = []
    loader = threading.Thread(target=lambda: released.append(load_posts(engine, tmp_path, 50)))
    with transaction(engine) as connection:
        versions.activate_version(connection, newer)
        loader.start()
        waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        deadline = time.monotonic() + 20
        while _scalars(engine, waiting) == [0]:
            assert time.monotonic() < deadline
    loader.join()
    assert [loaded.version for loaded in released] == ["v2"]


def test_a_file_with_a_name_of_other_bytes_is_loaded(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xb1\xdb.jsonl"))
    write_jsonl(path, [*posts(2), "{"])
    assert load_files(engine, "blog", [path]).counts.rejected == 1
    assert _scalars(engine, "select file from reject") == ["\ufffd\ufffd.jsonl"]


def _sql(engine: Engine, statement: str) -> None:
    with transaction(engine) as connection:
        connection.execute(text(statement))


REFUSE = """
create function refuse() returns trigger language plpgsql as $$
begin raise disk_full using message = 'no room'; end $$;
create trigger refuse before insert on document for each row execute function refuse();
create trigger refuse before delete on crawl for each row execute function refuse();
"""


def test_what_cannot_be_undone_hides_no_error_and_keeps_no_lock(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    _sql(engine, REFUSE)
    with pytest.raises(ServiceError, match="no room"):
        load_posts(engine, tmp_path, 5)
    _sql(engine, "drop trigger refuse on document; drop trigger refuse on crawl")
    assert _scalars(engine, "select state from crawl") == ["loading"]
    assert load_posts(engine, tmp_path, 5).counts.accepted == 5
    assert _scalars(engine, "select state from crawl") == ["released"]


def test_texts_are_the_same_whatever_the_server_or_the_environment_speaks(
    database_url: str,
    engine: Engine,
    active_version: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _sql(engine, f"alter database {engine.url.database} set bytea_output = 'escape'")
    engine.dispose()
    monkeypatch.setenv("PGCLIENTENCODING", "UHC")
    other = make_engine(database_url)
    load_posts(other, tmp_path, 5)
    assert load_posts(other, tmp_path, 5).counts.duplicate == 5
    monkeypatch.delenv("PGCLIENTENCODING")
    expected = [post["text"] for post in posts(5)]
    assert _scalars(engine, "select text from document order by id") == expected
    other.dispose()


def test_a_slice_is_bounded_by_rows_as_they_were(tmp_path: Path) -> None:
    """Also by columns that are not read, and by rows that are rejected."""
    rows = [{"id": n, "text": "글" if n % 2 else 7, "html": "가" * 20_000} for n in range(600)]
    files = find_files([write_jsonl(tmp_path / "a.jsonl", rows)], ReadOptions())
    made = list(slices.make_slices(files, SEOUL))
    assert sum(each.rows for each in made) == 600
    assert max(each.characters for each in made) < slices.SLICE_CHARACTERS + (1 << 20)
