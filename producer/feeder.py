"""The feeder: due scorings -> messages. One acts at a time; running it twice does no harm.

It trusts neither the queue nor its own memory: each tick compares what the database has due with
what the queue holds and publishes the difference.
"""

from __future__ import annotations

import structlog

from core.broker import Celery, connect, publish, queue_depth
from db import locks, scorings
from db.engine import Connection, Engine, session

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

WINDOW = 64  # messages in Redis at most: small enough that precedence is decided in SQL
# Of those, what labels again: a new crawl must find room at once. A tick fills it up again, so that
# it feeds 8 chunks (up to 32,768 documents) a second.
RESCORES = 8


def feed(engine: Engine, app: Celery, *, expire: bool = False) -> int:
    """Publish what the queue lacks.

    Args:
        engine: of the database.
        app: of the queue.
        expire: first return scorings whose lease ran out to pending.

    Returns:
        How many messages were sent; 0 also when another process feeds at this moment.

    Raises:
        ServiceError: PostgreSQL or Redis cannot be reached. Nothing is lost: the next tick does it.
    """
    with session(engine) as connection:
        if not locks.try_feed_lock(connection):
            return 0
        connection.commit()
        try:
            return _tick(connection, app, expire=expire)
        finally:
            if not connection.invalidated:
                connection.rollback()
                locks.release_feed_lock(connection)
                connection.commit()


def _tick(connection: Connection, app: Celery, *, expire: bool) -> int:
    returned = scorings.return_expired(connection) if expire else 0
    connection.commit()
    if returned:
        log.warning("expired_leases_returned", scorings=returned)
    with connect(app) as broker:
        keys = scorings.due_to_publish(connection, WINDOW, queue_depth(broker), rescores=RESCORES)
        connection.commit()  # before publishing: a message must never run ahead of its row
        publish(app, broker, keys)
    return len(keys)
