"""How others see that a trainer runs: a lock that its process holds on a connection of its own."""

from __future__ import annotations

from contextlib import ExitStack

from core.errors import DatabaseError
from db import locks
from db.engine import Connection, Engine, closed_on_error, database_errors, session


class Presence:
    """Held from the first `keep` until `leave`, or until the process dies."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stack = ExitStack()
        self._connection: Connection | None = None

    def keep(self) -> None:
        """Take the lock, or see that it is still held. Call it every second or so.

        Raises:
            DatabaseError: PostgreSQL cannot be reached; the lock is gone until the next call.
        """
        try:
            if self._connection is None:
                self._connection = self._stack.enter_context(session(self._engine))
                with database_errors():
                    locks.show_trainer(self._connection)
            else:
                with database_errors():
                    locks.count_trainers(self._connection)
            self._connection.commit()
        except DatabaseError:
            self.leave()
            raise

    def leave(self) -> None:
        """Give the lock up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with closed_on_error(connection):
                connection.rollback()
                locks.hide_trainer(connection)
                connection.commit()
        self._stack.close()
