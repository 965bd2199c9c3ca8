"""Statements that take one slice of a crawl in: COPY aside, dedupe, chunks, documents, rejects.

The caller holds the source's load lock, so nobody else adds documents of that source meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Connection, text

CHUNK_DOCUMENTS = 4_096  # a lease's worth of work on a slow CPU, one statement's worth of labels
CHUNK_CHARACTERS = 4_000_000  # bounds the memory of a worker that meets long documents

INCOMING = """
create temp table if not exists incoming (
    n integer primary key,
    external_id text not null,
    written_at timestamptz,
    text text not null
) on commit delete rows;
create temp table if not exists placed (
    n integer primary key,
    by_documents bigint not null,
    by_characters bigint not null,
    characters integer not null
) on commit delete rows;
"""

# The first row of an external id within the slice, unless the source has it already. Chunks are
# the pairs (documents so far / 4,096, characters so far / 4,000,000): both only grow, so that a
# pair is a run of rows within both bounds.
PLACE = """
insert into placed
select n,
       (:documents + row_number() over w - 1) / :chunk_documents,
       (:characters + sum(characters) over w - characters) / :chunk_characters,
       characters
from (
    select distinct on (external_id) n, external_id, char_length(text) as characters
    from incoming order by external_id, n
) first
where (
    select d.id from document d where d.source_id = :source and d.external_id = first.external_id
) is null
window w as (order by n)
"""

GROUPS = """
select by_documents, by_characters, count(*) as documents, sum(characters) as characters
from placed group by by_documents, by_characters order by by_documents, by_characters
"""

INSERT_DOCUMENTS = """
insert into document (source_id, external_id, written_at, text, text_hash, chunk_id)
select :source, i.external_id, i.written_at, i.text, HASH, g.chunk_id
from placed p
join incoming i on i.n = p.n
join unnest(cast(:by_documents as bigint[]), cast(:by_characters as bigint[]),
            cast(:chunks as bigint[])) as g (by_documents, by_characters, chunk_id)
  on g.by_documents = p.by_documents and g.by_characters = p.by_characters
order by p.n
"""

LEFT_OVER = """
select i.n, HASH = (
    select d.text_hash from document d
    where d.source_id = :source and d.external_id = i.external_id
) as same
from incoming i
where (select p.n from placed p where p.n = i.n) is null
order by i.n
"""

TEXT_HASH = "substring(sha256(convert_to(i.text, 'UTF8')) for 16)"


@dataclass
class ChunkFill:
    """Where the next document of a crawl goes: totals so far and the chunk that is being filled."""

    documents: int = 0
    characters: int = 0
    open_group: tuple[int, int] | None = None
    open_chunk_id: int | None = None


@dataclass(frozen=True)
class SliceOutcome:
    """What became of a slice's documents: counts, and the places of ids met with another text."""

    accepted: int
    duplicate: int
    conflicts: list[int]


def take_in_slice(
    connection: Connection, source_id: int, crawl_id: int, rows: Iterable[bytes], fill: ChunkFill
) -> SliceOutcome:
    r"""Write one slice of documents, each once per (source, external id).

    Args:
        connection: in the transaction that will also count the slice.
        source_id: of the crawl.
        crawl_id: the crawl, not yet released.
        rows: COPY text lines `n, external id, time or \N, text`; `n` is the place in the slice.
        fill: of this crawl; moved on.
    """
    connection.execute(text(INCOMING))
    with _copy(connection, "copy incoming from stdin") as copy:
        for row in rows:
            copy.write(row)
    _plan_by_index(connection, on=True)
    connection.execute(
        text(PLACE),
        {
            "source": source_id,
            "documents": fill.documents,
            "characters": fill.characters,
            "chunk_documents": CHUNK_DOCUMENTS,
            "chunk_characters": CHUNK_CHARACTERS,
        },
    )
    chunks = _fill_chunks(connection, crawl_id, fill)
    _plan_by_index(connection, on=False)
    accepted = connection.execute(
        text(INSERT_DOCUMENTS.replace("HASH", TEXT_HASH)),
        {
            "source": source_id,
            "by_documents": [group[0] for group in chunks],
            "by_characters": [group[1] for group in chunks],
            "chunks": list(chunks.values()),
        },
    ).rowcount
    _plan_by_index(connection, on=True)
    left_over = connection.execute(
        text(LEFT_OVER.replace("HASH", TEXT_HASH)), {"source": source_id}
    ).all()
    conflicts = [int(row.n) for row in left_over if not row.same]
    return SliceOutcome(accepted, len(left_over) - len(conflicts), conflicts)


def _plan_by_index(connection: Connection, *, on: bool) -> None:
    """Look rows up by their key, one at a time.

    The planner knows nothing of the temporary tables and, during a first load, nothing of
    `document`: left alone it scans the whole of it for every row. Scalar subqueries keep it from
    joining, and this from scanning.
    """
    connection.execute(text(f"set local enable_seqscan = {'off' if on else 'on'}"))


def _fill_chunks(
    connection: Connection, crawl_id: int, fill: ChunkFill
) -> dict[tuple[int, int], int]:
    chunks: dict[tuple[int, int], int] = {}
    for row in connection.execute(text(GROUPS)).all():
        group = (int(row.by_documents), int(row.by_characters))
        if group == fill.open_group and fill.open_chunk_id is not None:
            connection.execute(
                text("update chunk set n_documents = n_documents + :n where id = :chunk"),
                {"n": row.documents, "chunk": fill.open_chunk_id},
            )
        else:
            fill.open_group = group
            fill.open_chunk_id = connection.scalar(
                text("insert into chunk (crawl_id, n_documents) values (:crawl, :n) returning id"),
                {"crawl": crawl_id, "n": row.documents},
            )
        chunks[group] = int(fill.open_chunk_id or 0)
        fill.documents += int(row.documents)
        fill.characters += int(row.characters)
    return chunks


def insert_rejects(connection: Connection, rows: Iterable[bytes]) -> None:
    """Keep rows that are not documents.

    Args:
        connection: in the transaction that will also count them.
        rows: COPY text lines `crawl id, file, row number, code, message, what it held`.
    """
    statement = "copy reject (crawl_id, file, row_number, code, message, held) from stdin"
    with _copy(connection, statement) as copy:
        for row in rows:
            copy.write(row)


@contextmanager
def _copy(connection: Connection, statement: str) -> Iterator[psycopg.Copy]:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        yield copy
