"""An analyst's own query: read-only, streamed, as the reader role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Engine, text

from core.errors import DatabaseError, InputError
from db.engine import PASSING_CLASSES, session

ROWS_AT_ONCE = 2_000


@dataclass(frozen=True)
class Result:
    """Column names and the rows as they come."""

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]


@contextmanager
def read_only(engine: Engine, query: str, *, timezone: str) -> Iterator[Result]:
    """Run one statement that reads.

    The transaction is read-only and belongs to `nifos_reader`. Times come in `timezone`.

    Raises:
        InputError: the statement is wrong or wants to write; the message is PostgreSQL's.
        DatabaseError: the connection broke, or a time limit was reached.
    """
    with session(engine) as connection:
        connection.execute(text("set transaction read only"))
        connection.execute(text("set local role nifos_reader"))
        connection.execute(text("select set_config('TimeZone', :zone, true)"), {"zone": timezone})
        driver: Any = connection.connection.driver_connection
        # A server-side cursor takes one statement that reads, and no more rows at once than asked.
        with driver.cursor(name="analyst") as cursor:
            cursor.itersize = ROWS_AT_ONCE
            with _as_input_error():
                cursor.execute(query.strip().rstrip(";"))
            yield Result([column.name for column in cursor.description], _rows(cursor))


def _rows(cursor: Any) -> Iterator[tuple[Any, ...]]:
    with _as_input_error():
        yield from cursor


@contextmanager
def _as_input_error() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        message = error.diag.message_primary or " ".join(str(error).split())
        if error.sqlstate is None or error.sqlstate[:2] in PASSING_CLASSES:
            raise DatabaseError(f"PostgreSQL: {message}") from error
        hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
        raise InputError(f"the query was refused: {message}{hint}") from error
