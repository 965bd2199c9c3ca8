"""Statements that take one slice of a crawl in: what is known already, chunks, documents, rejects.

The caller holds the source's load lock, so nobody else adds documents of that source meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, text

SEPARATOR = "\x1f"

DOCUMENT_COLUMNS = (
    *("source_id", "external_id", "written_at", "text", "text_hash", "chunk_id", "extra"),
)


def known_documents(
    connection: Connection, source_id: int, external_ids: Sequence[str]
) -> list[tuple[int, str]]:
    r"""Which ids the source has already.

    Returns:
        For each that it has: its place among those given, and the hash of its text as `\x` and
        hexadecimal digits.
    """
    # The planner knows nothing of a table that was empty a moment ago, and would scan it. The
    # limit keeps it from joining the other way round.
    connection.execute(
        text(
            "select set_config(name, 'off', true) from unnest("
            "array['enable_seqscan', 'enable_bitmapscan']) name"
        )
    )
    # As one string where that can be: to write an array takes the driver longer than the server
    # takes to look it up.
    joined = SEPARATOR.join(external_ids)
    can_be = joined.count(SEPARATOR) == max(0, len(external_ids) - 1)
    given = "string_to_array(%s, chr(31))" if can_be else "%s::text[]"
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        cursor.execute(
            "select given.place::int - 1, '\\x' || encode(d.text_hash, 'hex')"  # noqa: S608 - one of two of ours
            f" from unnest({given}) with ordinality given (external_id, place)"
            " cross join lateral (select text_hash from document"
            "  where source_id = %s and external_id = given.external_id limit 1) d",
            (joined if can_be else list(external_ids), source_id),
        )
        known: list[tuple[int, str]] = cursor.fetchall()
    return known


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


def insert_documents(connection: Connection, csv: bytes) -> int:
    r"""Write documents. Returns how many PostgreSQL took.

    Args:
        connection: in the transaction that will also count them.
        csv: without a header, the columns of `DOCUMENT_COLUMNS`; an empty cell without quotes is
            null. The text hash is hexadecimal behind `\\x`.
    """
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        with cursor.copy(f"copy document ({', '.join(DOCUMENT_COLUMNS)}) from stdin csv") as copy:
            copy.write(csv)
        return int(cursor.rowcount)


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
