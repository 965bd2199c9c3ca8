"""Comments on tables, views and columns, for whoever looks at the database with a tool."""

from __future__ import annotations

from collections.abc import Mapping

from alembic import op


def explain(comments: Mapping[str, str]) -> None:
    """Comment each thing.

    Args:
        comments: what is said in English, then `|` and Korean, by what it is said of, such as
            `view sentiment` or `column sentiment.label`.
    """
    for what, words in comments.items():
        quoted = words.replace("'", "''")
        op.execute(f"comment on {what} is '{quoted}'")
