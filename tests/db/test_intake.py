"""What holds for documents and chunks, whoever writes them."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import text

from core.errors import NifosError
from db import crawls, intake
from db.engine import Connection, Engine, session, transaction


def _crawl(connection: Connection, source: str = "blog") -> tuple[int, int]:
    source_id = crawls.ensure_source(connection, source)
    return source_id, crawls.begin_crawl(connection, source_id)


def _insert(connection: Connection, source_id: int, chunk_id: int, *external_ids: str) -> None:
    lines = (
        f'{source_id},"{name}",,"글 {name}","\\x{name.encode().hex():0<32}",{chunk_id},\n'
        for name in external_ids
    )
    intake.insert_documents(connection, "".join(lines).encode())


def _count(engine: Engine, what: str) -> int:
    with transaction(engine) as connection:
        return int(connection.scalar(text(f"select count(*) from {what}")) or 0)


def test_known_documents_are_found_by_their_ids(engine: Engine) -> None:
    with transaction(engine) as connection:
        source_id, crawl_id = _crawl(connection)
        (chunk_id,) = intake.make_chunks(connection, crawl_id, [3])
        _insert(connection, source_id, chunk_id, "a", "b", "odd\x1fone")
        for asked in (["x", "b", "a", "a"], ["odd\x1fone", "b"], [], [""]):
            known = dict(intake.known_documents(connection, source_id, asked))
            expected = {n for n, name in enumerate(asked) if name in ("a", "b", "odd\x1fone")}
            assert set(known) == expected
        ((_place, text_hash),) = intake.known_documents(connection, source_id, ["a"])
        assert text_hash == "\\x61" + "0" * 30
        assert intake.known_documents(connection, source_id + 1, ["a"]) == []


def test_chunks_come_in_the_order_of_their_sizes(engine: Engine) -> None:
    with transaction(engine) as connection:
        _source_id, crawl_id = _crawl(connection)
        ids = intake.make_chunks(connection, crawl_id, [3, 1, 4, 1, 5])
        rows = connection.execute(text("select id, n_documents from chunk")).all()
        sizes = {row.id: row.n_documents for row in rows}
    assert [sizes[chunk_id] for chunk_id in ids] == [3, 1, 4, 1, 5]
    assert ids == sorted(ids)


def test_a_document_needs_a_chunk_of_its_source(engine: Engine) -> None:
    with transaction(engine) as connection:
        source_id, crawl_id = _crawl(connection)
        other_id, _other = _crawl(connection, "news")
        (chunk_id,) = intake.make_chunks(connection, crawl_id, [1])
    for source, chunk in ((source_id, chunk_id + 1), (other_id, chunk_id)):
        with (
            pytest.raises(NifosError, match="document_chunk_fk"),
            transaction(engine) as connection,
        ):
            _insert(connection, source, chunk, "a")
    with transaction(engine) as connection:
        _insert(connection, source_id, chunk_id, "a")
    assert _count(engine, "document") == 1


@pytest.mark.parametrize("column", ["chunk_id", "source_id"])
def test_a_document_belongs_to_one_chunk_for_ever(engine: Engine, column: str) -> None:
    with transaction(engine) as connection:
        source_id, crawl_id = _crawl(connection)
        (chunk_id,) = intake.make_chunks(connection, crawl_id, [1])
        _insert(connection, source_id, chunk_id, "a")
    with pytest.raises(NifosError, match="document_stays"), transaction(engine) as connection:
        connection.execute(text(f"update document set {column} = {column} + 1"))


def test_a_deleted_crawl_takes_its_documents_along_and_no_others(engine: Engine) -> None:
    with transaction(engine) as connection:
        source_id, crawl_id = _crawl(connection)
        _same, other_crawl = _crawl(connection)
        first, second, other = (
            *intake.make_chunks(connection, crawl_id, [1, 1]),
            *intake.make_chunks(connection, other_crawl, [1]),
        )
        for chunk_id, name in ((first, "a"), (second, "b"), (other, "c")):
            _insert(connection, source_id, chunk_id, name)
    with transaction(engine) as connection:
        crawls.delete_crawl(connection, crawl_id)
    assert _count(engine, "document where external_id = 'c'") == _count(engine, "document") == 1


def test_a_chunk_is_not_deleted_under_documents_that_are_being_written(engine: Engine) -> None:
    """What a foreign key does by a lock a row, the trigger does by a lock a chunk."""
    with transaction(engine) as connection:
        source_id, crawl_id = _crawl(connection)
        (chunk_id,) = intake.make_chunks(connection, crawl_id, [1])

    def delete() -> None:
        with transaction(engine) as other:
            crawls.delete_crawl(other, crawl_id)

    deleter = threading.Thread(target=delete)
    with session(engine) as connection:
        _insert(connection, source_id, chunk_id, "a")
        deleter.start()
        deadline = time.monotonic() + 20
        while not _count(engine, "pg_stat_activity where wait_event_type = 'Lock'"):
            assert time.monotonic() < deadline
        connection.commit()
    deleter.join()
    assert (_count(engine, "document"), _count(engine, "chunk")) == (0, 0)
