"""Connections to PostgreSQL, with time limits, and the one place where its errors become ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL, make_url

from core.errors import DatabaseError, InputError, NifosError
from db.array_parameters import adapt_arrays
from db.silence import BoundedConnection, bound_again

__all__ = [
    "ANSWER_S",
    "Connection",
    "Engine",
    "closed_on_error",
    "database_errors",
    "make_engine",
    "session",
    "transaction",
]

CONNECT_TIMEOUT_S = 5
LOCK_TIMEOUT_MS = 30_000
# How long a server that says nothing is waited for; it ends a statement five seconds earlier.
LONGEST_ANSWER_S = 125.0  # the longest statement of a command (a slice of a load) takes seconds
ANSWER_S = 45.0  # of workers and feeders: their statements take milliseconds, a lease lasts 60 s
STATEMENT_ENDS_EARLIER_S = 5.0
IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000  # a stopped process must not hold its rows for ever

UNDEFINED_TABLE = "42P01"
INSUFFICIENT_PRIVILEGE = "42501"
# Classes of SQLSTATE that pass by themselves: lost connection, conflict, out of resources,
# operator intervention, system error.
PASSING_CLASSES = ("08", "40", "53", "55", "57", "58", "XX")


def make_engine(
    database_url: str, *, pool_size: int = 2, answer_s: float = LONGEST_ANSWER_S
) -> Engine:
    """Build the engine of one process. It connects on first use.

    Statement parameters are hidden from every error message, because they hold documents' texts.

    Args:
        database_url: of PostgreSQL.
        pool_size: connections that are kept open.
        answer_s: seconds after which a server that says nothing is given up; `ANSWER_S` for what
            others wait for.

    Raises:
        InputError: the URL is not one of PostgreSQL.
    """
    statement_ms = (answer_s - STATEMENT_ENDS_EARLIER_S) * 1_000
    engine = create_engine(
        _with_driver(database_url),
        pool_size=pool_size,
        max_overflow=4,  # a scheduler uses four at once: feeder, night, its load, its calendar
        pool_pre_ping=True,
        pool_timeout=CONNECT_TIMEOUT_S,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "nifos",
            "client_encoding": "utf8",  # what is sent by COPY is, whatever PGCLIENTENCODING says
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
            "options": (
                f"-c statement_timeout={statement_ms:.0f} -c lock_timeout={LOCK_TIMEOUT_MS} "
                f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_TIMEOUT_MS} "
                # The server's side too: a machine that lost its power must not keep its locks.
                "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
            ),
        },
    )
    event.listen(engine, "do_connect", lambda *given: _connect(answer_s, given[2], given[3]))
    for end in ("commit", "rollback"):
        event.listen(engine, end, bound_again)
    event.listen(engine, "connect", lambda connection, _record: adapt_arrays(connection))
    return engine


def _connect(answer_s: float, places: Sequence[Any], names: dict[str, Any]) -> Any:
    connection = BoundedConnection.connect(*places, **names)
    connection.answer_s = connection.usual_s = answer_s
    return connection


def _with_driver(database_url: str) -> URL:
    try:
        url = make_url(database_url)
    except (exc.ArgumentError, ValueError):
        raise InputError("NIFOS_DATABASE_URL is not a URL") from None
    if "@" in (url.host or ""):  # and what is before it is a part of the password
        raise InputError(
            "NIFOS_DATABASE_URL: an @ in the password is written %40, a / %2F (percent-encoded)"
        )
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise InputError("NIFOS_DATABASE_URL must begin with postgresql://")
    return url.set(drivername="postgresql+psycopg")


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Open a connection and a transaction: committed at the end, rolled back on any exception.

    Raises:
        DatabaseError: PostgreSQL cannot be reached, or refused for a reason that may pass.
    """
    with database_errors(), engine.begin() as connection:
        yield connection


@contextmanager
def session(engine: Engine) -> Iterator[Connection]:
    """Open a connection whose transactions the caller commits one by one.

    For work that spans transactions and holds a session-level advisory lock meanwhile.
    """
    with database_errors(), engine.connect() as connection:
        yield connection


@contextmanager
def closed_on_error(connection: Connection) -> Iterator[None]:
    """Tidy up on a connection that may be broken.

    Where that fails the connection is closed instead, and its transaction and its locks end with
    it; the error that led here is not hidden by another.
    """
    try:
        yield
    except (exc.SQLAlchemyError, psycopg.Error):
        if not connection.invalidated:
            connection.invalidate()


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn the driver's errors into ours, without the values that they quote."""
    try:
        yield
    except (exc.DBAPIError, psycopg.Error) as error:
        raise _our_error(error) from error
    except exc.TimeoutError as error:
        raise DatabaseError("PostgreSQL: no connection became free in time") from error


def _our_error(error: exc.DBAPIError | psycopg.Error) -> NifosError:
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return DatabaseError(f"PostgreSQL cannot be used ({type(cause).__name__})")
    state, message = cause.sqlstate, cause.diag.message_primary
    if state is None:
        reason = " ".join(str(cause).split()) if isinstance(cause, psycopg.OperationalError) else ""
        return DatabaseError(
            f"PostgreSQL cannot be reached: check NIFOS_DATABASE_URL ({reason[:200]})"
        )
    if state == UNDEFINED_TABLE:
        return DatabaseError("the database has no tables of ours yet: run `nifos migrate`")
    if state[:2] in PASSING_CLASSES or state[:2] in ("28", "3D"):
        return DatabaseError(f"PostgreSQL: {message} ({state})")
    constraint = cause.diag.constraint_name
    named = f" by {constraint}" if constraint else ""
    return NifosError(f"PostgreSQL refused{named}: {message if not named else state}")
