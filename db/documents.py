"""Statements that read documents."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True)
class Texts:
    """Documents by id, and what they say."""

    document_ids: list[int]
    texts: list[str]


def chunk_texts(connection: Connection, chunk_id: int) -> Texts:
    """Read what is to be labelled, in the order of the ids."""
    rows = connection.execute(
        text("select id, text from document where chunk_id = :chunk order by id"),
        {"chunk": chunk_id},
    ).all()
    return Texts([int(row.id) for row in rows], [row.text for row in rows])


def newest_texts(
    connection: Connection, source: str | None, before: int | None, limit: int
) -> Texts:
    """Stored documents with their texts, the newest first.

    Args:
        connection: in a transaction.
        source: only of this one.
        before: only documents with a smaller id.
        limit: at most so many.
    """
    rows = connection.execute(
        text(
            "select d.id, d.text from document d"
            " where (cast(:before as bigint) is null or d.id < :before)"
            " and (cast(:source as text) is null or d.source_id ="
            "  (select id from source where name = :source))"
            " order by d.id desc limit :limit"
        ),
        {"before": before, "source": source, "limit": limit},
    ).all()
    return Texts([int(row.id) for row in rows], [row.text for row in rows])
