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
