"""Statements that read a crawl's rejects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

ROWS_AT_ONCE = 2_000


@dataclass(frozen=True)
class CodeCount:
    """How many rows of a crawl were rejected for one reason, and the first of them."""

    code: str
    n: int
    message: str
    file: str
    row_number: int
    held: str


@dataclass(frozen=True)
class RejectRow:
    """One row of the table `reject`. `held_whole` is False where `held` was cut."""

    file: str
    row_number: int
    code: str
    message: str
    held: str
    held_whole: bool
    external_id: str | None


def count_codes(connection: Connection, crawl_id: int) -> list[CodeCount]:
    """The reasons of a crawl's rejects, the most frequent first."""
    rows = connection.execute(
        text(
            "select r.code, counted.n, r.message, r.file, r.row_number, r.held from ("
            "  select count(*) as n, min(id) as first from reject where crawl_id = :crawl"
            "  group by code) counted"
            " join reject r on r.id = counted.first order by counted.n desc, r.code"
        ),
        {"crawl": crawl_id},
    )
    return [CodeCount(**row._mapping) for row in rows]


def each_reject(connection: Connection, crawl_id: int) -> Iterator[RejectRow]:
    """A crawl's rejects in the order in which they were read, a few at a time."""
    rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(
        text(
            "select file, row_number, code, message, held, held_whole, external_id"
            " from reject where crawl_id = :crawl order by id"
        ),
        {"crawl": crawl_id},
    )
    return (RejectRow(**row._mapping) for row in rows)


def file_columns(connection: Connection, crawl_id: int) -> dict[str, dict[str, Any]] | None:
    """Of each file of a crawl the columns that were read, by its name. None: no such crawl."""
    row = connection.execute(
        text("select files from crawl where id = :crawl"), {"crawl": crawl_id}
    ).one_or_none()
    if row is None:
        return None
    return {file["name"]: file["columns"] or {} for file in row.files}
