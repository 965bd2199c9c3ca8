"""What a command's options say of how files are read."""

from __future__ import annotations

from producer.columns import ColumnOptions
from producer.crawl import ReadOptions


def read_options(
    *,
    text_column: str | None,
    id_column: str | None,
    time_column: str | None,
    keep: list[str] | None,
    encoding: str | None,
    format: str | None = None,  # noqa: A002 - the option's name
    pattern: str | None = None,
) -> ReadOptions:
    """Put them into the form that the readers take."""
    columns = ColumnOptions(text_column, id_column, time_column, tuple(keep or ()))
    return ReadOptions(columns, encoding, format, pattern)
