"""A connection that gives a silent server up.

TCP itself notices a peer that is gone. It does not notice one whose kernel still acknowledges what
is sent while nothing behind it answers: a stopped server, a hung disk, a balancer that lost its
other side. Without this, a process that waits there waits for ever, and looks alive.
"""

from __future__ import annotations

import time
from typing import Any, TypeVar, cast

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Connection, text

T = TypeVar("T")


class BoundedConnection(psycopg.Connection[Any]):
    """Waits `answer_s` seconds for each answer, then closes itself and fails.

    What was asked may have happened: the caller is in doubt, as after any lost connection.
    """

    answer_s: float | None = None
    usual_s: float | None = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Consume a generator of the protocol, as the class above does, but not for ever."""
        timeout = self.answer_s if timeout is None else timeout
        began = time.monotonic()
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError:
            if timeout is not None and time.monotonic() - began >= timeout:
                self.pgconn.finish()  # its answer may yet come, to another question
            raise


def wait_however_long(connection: Connection) -> None:
    """Set no limit to the statements of this transaction: one goes over millions of rows."""
    connection.execute(text("set local statement_timeout = 0"))
    _driver(connection).answer_s = None


def bound_again(connection: Connection) -> None:
    """Set the usual limit again, with the end of a transaction."""
    if not connection.invalidated:
        driver = _driver(connection)
        driver.answer_s = driver.usual_s


def _driver(connection: Connection) -> BoundedConnection:
    return cast(BoundedConnection, connection.connection.driver_connection)
