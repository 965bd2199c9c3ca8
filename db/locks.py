"""Advisory locks: a kind and an object. Who may load a source, migrate, feed, run, activate."""

from __future__ import annotations

from sqlalchemy import Connection, text

MIGRATION = 7_001
LOAD = 7_002
FEED = 7_003
NIGHT = 7_004
ACTIVATION = 7_005
RESCORE = 7_007
TRAINER = 7_006

FEED_IDLE_S = 30  # longer than any wait for Redis between two statements of a tick


def wait_for_migration_lock(connection: Connection) -> None:
    """Hold it until the transaction ends."""
    connection.execute(text("select pg_advisory_xact_lock(:kind, 0)"), {"kind": MIGRATION})


def wait_for_activation_lock(connection: Connection) -> None:
    """Hold it until the transaction ends: one activation at a time."""
    connection.execute(text("select pg_advisory_xact_lock(:kind, 0)"), {"kind": ACTIVATION})


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
    """Take the right to feed, until the connection ends or `release_feed_lock`.

    Who takes it and then falls silent, stopped or cut off, loses its connection to the server's
    `FEED_IDLE_S`, so that another may feed.
    """
    row = connection.execute(
        text(
            "select pg_try_advisory_lock(:kind, 0),"
            " set_config('idle_session_timeout', :idle, false)"
        ),
        {"kind": FEED, "idle": f"{FEED_IDLE_S}s"},
    ).one()
    return bool(row[0])


def release_feed_lock(connection: Connection) -> None:
    """Give the right to feed back."""
    connection.execute(
        text("select pg_advisory_unlock(:kind, 0), set_config('idle_session_timeout', '0', false)"),
        {"kind": FEED},
    )


def show_trainer(connection: Connection) -> None:
    """Let others see that a trainer runs, until the connection ends. Any number may at once."""
    connection.execute(text("select pg_advisory_lock_shared(:kind, 0)"), {"kind": TRAINER})


def hide_trainer(connection: Connection) -> None:
    """Take back what `show_trainer` did."""
    connection.execute(text("select pg_advisory_unlock_shared(:kind, 0)"), {"kind": TRAINER})


def count_trainers(connection: Connection) -> int:
    """How many trainers run now."""
    found = connection.scalar(
        text(
            "select count(*) from pg_locks where locktype = 'advisory' and granted"
            " and database = (select oid from pg_database where datname = current_database())"
            " and classid = cast(:kind as oid) and objid = 0 and objsubid = 2"
        ),
        {"kind": TRAINER},
    )
    return int(found or 0)


def wait_for_feed_lock(connection: Connection) -> None:
    """Let nobody feed until the transaction ends: scorings come and go in it by the thousand."""
    connection.execute(text("select pg_advisory_xact_lock(:kind, 0)"), {"kind": FEED})


def try_rescore_lock(connection: Connection) -> bool:
    """Take the right to say by which version stored chunks are labelled, until the connection ends.

    So that no rescore by a version goes on after the rollback from it.
    """
    return bool(connection.scalar(text("select pg_try_advisory_lock(:kind, 0)"), {"kind": RESCORE}))


def release_rescore_lock(connection: Connection) -> None:
    """Give that right back."""
    connection.execute(text("select pg_advisory_unlock(:kind, 0)"), {"kind": RESCORE})
