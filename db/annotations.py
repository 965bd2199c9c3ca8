"""Statements about annotations: what people said of documents."""

from __future__ import annotations

from sqlalchemy import Connection, text


def annotated_texts(connection: Connection) -> list[tuple[str, str]]:
    """Every annotation as (stored text, label name), in the order in which they were made.

    A document that several people judged is there once for each of them.
    """
    rows = connection.execute(
        text(
            "select d.text, a.label::text as label from annotation a"
            " join document d on d.id = a.document_id order by a.id"
        )
    )
    return [(row.text, row.label) for row in rows]
