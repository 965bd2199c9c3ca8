"""Statements that take one slice of a crawl in: what is known already, chunks, documents, rejects.

The caller holds the source's load lock, so nobody else adds documents of that source meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, text

DOCUMENT_COLUMNS = (
    *("source_id", "external_id", "written_at", "text", "text_hash", "chunk_id", "extra"),
)


def known_documents(
    connection: Connection, source_id: int, external_ids: Sequence[str]
) -> list[tuple[int, bytes]]:
    """Which ids the source has already.

    Returns:
        For each that it has: its place among those given, and the hash of its text.
    """
    # The planner knows nothing of a table that was empty a moment ago, and would scan it.
    connection.execute(
        text(
            "select set_config(name, 'off', true) from unnest("
            "array['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin']) name"
        )
    )
    rows = connection.execute(
        text(
            "select given.place - 1, d.text_hash"
            " from unnest(cast(:ids as text[])) with ordinality given (external_id, place)"
            " join document d on d.source_id = :source and d.external_id = given.external_id"
        ),
        {"source": source_id, "ids": list(external_ids)},
    )
    return [(int(place), bytes(text_hash)) for place, text_hash in rows]


def make_chunks(connection: Connection, crawl_id: int, sizes: Sequence[int]) -> list[int]:
    """Make chunks of so many documents each. Returns their ids, growing, in the same order."""
    rows = connection.scalars(
        text(
            "insert into chunk (crawl_id, n_documents)"
            " select :crawl, given.n from unnest(cast(:sizes as integer[])) given (n)"
            " returning id"
        ),
        {"crawl": crawl_id, "sizes": list(sizes)},
    ).all()
    return sorted(int(chunk_id) for chunk_id in rows)


def grow_chunk(connection: Connection, chunk_id: int, n_documents: int) -> None:
    """Count more documents into a chunk that is being filled."""
    connection.execute(
        text("update chunk set n_documents = n_documents + :n where id = :chunk"),
        {"n": n_documents, "chunk": chunk_id},
    )


def insert_documents(connection: Connection, csv: bytes) -> None:
    r"""Write documents.

    Args:
        connection: in the transaction that will also count them.
        csv: without a header, the columns of `DOCUMENT_COLUMNS`; an empty cell without quotes is
            null. The text hash is hexadecimal behind `\\x`.
    """
    with _copy(connection, f"copy document ({', '.join(DOCUMENT_COLUMNS)}) from stdin csv") as copy:
        copy.write(csv)


def insert_rejects(connection: Connection, rows: Iterable[Sequence[object]]) -> None:
    """Keep rows that are not documents.

    Args:
        connection: in the transaction that will also count them.
        rows: crawl id, file, row number, code, message, what it held, whether that is all of it,
            external id or None.
    """
    statement = (
        "copy reject (crawl_id, file, row_number, code, message, held, held_whole, external_id)"
        " from stdin"
    )
    with _copy(connection, statement) as copy:
        for row in rows:
            copy.write_row(row)


@contextmanager
def _copy(connection: Connection, statement: str) -> Iterator[psycopg.Copy]:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        yield copy
