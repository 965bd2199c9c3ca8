"""Advisory locks: a kind and an object. Who may load a source, migrate, feed, run a night."""

from __future__ import annotations

from sqlalchemy import Connection, text

MIGRATION = 7_001
LOAD = 7_002
FEED = 7_003
NIGHT = 7_004


def wait_for_migration_lock(connection: Connection) -> None:
    """Hold it until the transaction ends."""
    connection.execute(text("select pg_advisory_xact_lock(:kind, 0)"), {"kind": MIGRATION})


def try_load_lock(connection: Connection, source_id: int) -> bool:
    """Take the right to load one source, until the connection ends or `release_load_lock`."""
    return bool(
        connection.scalar(
            text("select pg_try_advisory_lock(:kind, :source)"),
            {"kind": LOAD, "source": source_id % 2**31},
        )
    )


def release_load_lock(connection: Connection, source_id: int) -> None:
    """Give the right to load a source back."""
    connection.execute(
        text("select pg_advisory_unlock(:kind, :source)"),
        {"kind": LOAD, "source": source_id % 2**31},
    )


def try_feed_lock(connection: Connection) -> bool:
    """Take the right to feed, until the connection ends or `release_feed_lock`."""
    return bool(connection.scalar(text("select pg_try_advisory_lock(:kind, 0)"), {"kind": FEED}))


def release_feed_lock(connection: Connection) -> None:
    """Give the right to feed back."""
    connection.execute(text("select pg_advisory_unlock(:kind, 0)"), {"kind": FEED})
