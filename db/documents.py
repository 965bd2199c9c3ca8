"""Statements that read documents."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True)
class ChunkTexts:
    """The documents of one chunk, by id."""

    document_ids: list[int]
    texts: list[str]


def chunk_texts(connection: Connection, chunk_id: int) -> ChunkTexts:
    """Read what is to be labelled, in the order of the ids."""
    rows = connection.execute(
        text("select id, text from document where chunk_id = :chunk order by id"),
        {"chunk": chunk_id},
    ).all()
    return ChunkTexts([int(row.id) for row in rows], [row.text for row in rows])


@dataclass(frozen=True)
class ChunkPage:
    """What the documents of some chunks say, and the oldest of these chunks."""

    texts: list[str]
    oldest_chunk_id: int


def newest_texts(
    connection: Connection, source_id: int | None, before_chunk_id: int | None, chunks: int
) -> ChunkPage | None:
    """The stored documents by chunks, the newest chunks first. None: there are no more.

    Args:
        connection: in a transaction.
        source_id: only of this source.
        before_chunk_id: only older chunks.
        chunks: at most so many.
    """
    ids = connection.scalars(
        text(
            "select c.id from chunk c join crawl cr on cr.id = c.crawl_id"
            " where cr.state = 'released'"
            " and (cast(:source as bigint) is null or cr.source_id = :source)"
            " and (cast(:before as bigint) is null or c.id < :before)"
            " order by c.id desc limit :chunks"
        ),
        {"source": source_id, "before": before_chunk_id, "chunks": chunks},
    ).all()
    if not ids:
        return None
    texts = connection.scalars(
        text("select text from document where chunk_id = any(:chunks) order by id desc"),
        {"chunks": list(ids)},
    )
    return ChunkPage(list(texts), min(ids))
