"""Statements about the nightly run: what is to run each night, and what became of each night.

A night is run by whoever turns its row to running while holding its lock. The lock ends with its
holder's connection: a running night whose lock is free was broken off and can be taken at once.
`attempt` only grows and fences. All times are the database's.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from core.errors import InputError
from db import locks


@dataclass(frozen=True)
class NewNightly:
    """What `add_nightly` stores: a checked pattern, and how its files are read."""

    name: str
    source: str
    path: str
    at: dt.time
    missed: str
    options: dict[str, Any]
    first_date: dt.date


@dataclass(frozen=True)
class Nightly(NewNightly):
    """One row of `nightly`."""

    id: int


@dataclass(frozen=True)
class Night:
    """One row of `night`. `held`: somebody is running it at this moment."""

    date: dt.date
    state: str
    attempt: int
    reason: str | None
    crawl_id: int | None
    next_try_at: dt.datetime | None
    held: bool


@dataclass(frozen=True)
class Claim:
    """The right to run one night, until `let_go` or the end of the connection that claimed it."""

    night_id: int
    attempt: int


def read_clock(connection: Connection) -> dt.datetime:
    """The database's time, so that all schedulers agree on what is due."""
    moment: dt.datetime = connection.execute(text("select now()")).scalar_one()
    return moment


def add_nightly(connection: Connection, nightly: NewNightly) -> None:
    """Store a nightly.

    Raises:
        InputError: there is one of this name.
    """
    added = connection.execute(
        text(
            "insert into nightly (name, source, path, at, missed, options, first_date)"
            " values (:name, :source, :path, :at, :missed, :options, :first_date)"
            " on conflict on constraint nightly_name_unique do nothing"
        ).bindparams(bindparam("options", type_=JSONB)),
        nightly.__dict__,
    )
    if not added.rowcount:
        raise InputError(
            f"there is a nightly {nightly.name}: `nifos nightly remove {nightly.name}` first"
        )


def list_nightlies(connection: Connection, name: str | None = None) -> list[Nightly]:
    """All of them by name, or the one of that name.

    Raises:
        InputError: there is none of that name.
    """
    rows = connection.execute(
        text(
            "select id, name, source, path, at, missed, options, first_date from nightly"
            " where cast(:name as text) is null or name = :name order by name"
        ),
        {"name": name},
    )
    found = [Nightly(**row._mapping) for row in rows]
    if name is not None and not found:
        raise InputError(f"no nightly {name}: `nifos nightly list` shows them")
    return found


def remove_nightly(connection: Connection, nightly_id: int) -> None:
    """Delete a nightly and its nights. Their crawls stay."""
    connection.execute(text("delete from nightly where id = :nightly"), {"nightly": nightly_id})


def list_nights(connection: Connection, nightly_id: int) -> dict[dt.date, Night]:
    """What became of each night so far, the newest first."""
    rows = connection.execute(
        text(
            "select date, state, attempt, reason, crawl_id, next_try_at,"
            " state = 'running' and exists ("
            "  select from pg_locks where locktype = 'advisory' and granted"
            "  and database = (select oid from pg_database where datname = current_database())"
            "  and classid = cast(:kind as oid) and objsubid = 2"
            "  and objid = cast(id % 2147483648 as oid)"
            " ) as held"
            " from night where nightly_id = :nightly order by date desc"
        ),
        {"nightly": nightly_id, "kind": locks.NIGHT},
    )
    return {row.date: Night(**row._mapping) for row in rows}


def claim(
    connection: Connection, nightly_id: int, date: dt.date, seen_attempt: int
) -> Claim | None:
    """Take a night, for this connection alone.

    Args:
        connection: a session that stays open while the night runs.
        nightly_id: whose night.
        date: which.
        seen_attempt: its attempt when it was judged due, 0 where it had no row. A night that
            somebody has tried since is not tried again.

    Returns:
        None when it is being run, was tried meanwhile, is done, or its nightly is gone.
    """
    record(connection, nightly_id, date, "waiting", "begins")
    night_id = connection.scalar(
        text("select id from night where nightly_id = :nightly and date = :date"),
        {"nightly": nightly_id, "date": date},
    )
    if night_id is None or not connection.scalar(
        text("select pg_try_advisory_lock(:kind, :night)"), _lock(night_id)
    ):
        return None
    attempt = connection.scalar(
        text(
            "update night set state = 'running', attempt = attempt + 1, started_at = now(),"
            " finished_at = null, next_try_at = null, reason = null"
            " where id = :night and attempt = :seen and crawl_id is null returning attempt"
        ),
        {"night": night_id, "seen": seen_attempt},
    )
    claimed = Claim(night_id, attempt or 0)
    if attempt is None:
        let_go(connection, claimed)
        return None
    return claimed


def finish(connection: Connection, claimed: Claim, crawl_id: int) -> bool:
    """Turn a running night to done, in the transaction that releases its crawl.

    Returns:
        False: it is no longer this claim's, and its crawl must not be released.
    """
    finished = connection.execute(
        text(
            "update night set state = 'done', crawl_id = :crawl, finished_at = now()"
            " where id = :night and attempt = :attempt and state = 'running'"
        ),
        {"crawl": crawl_id, "night": claimed.night_id, "attempt": claimed.attempt},
    )
    return finished.rowcount == 1


def end(
    connection: Connection, claimed: Claim, state: str, reason: str, retry_s: float | None
) -> bool:
    """End a running night that is not done.

    Args:
        connection: in a transaction.
        claimed: by whom it runs.
        state: waiting, missing or failed.
        reason: in a line.
        retry_s: when it is tried again by itself; None: never.

    Returns:
        False: it is no longer this claim's, or it is done; nothing was written.
    """
    ended = connection.execute(
        text(
            "update night set state = :state, reason = :reason, finished_at = now(),"
            " next_try_at = now() + make_interval(secs => cast(:retry_s as double precision))"
            " where id = :night and attempt = :attempt and state = 'running'"
        ),
        {
            "state": state,
            "reason": reason,
            "retry_s": retry_s,
            "night": claimed.night_id,
            "attempt": claimed.attempt,
        },
    )
    return ended.rowcount == 1


def let_go(connection: Connection, claimed: Claim) -> None:
    """Give up the lock of a night."""
    connection.execute(text("select pg_advisory_unlock(:kind, :night)"), _lock(claimed.night_id))


def record(connection: Connection, nightly_id: int, date: dt.date, state: str, reason: str) -> bool:
    """Give a night its first row, waiting or skipped. Returns whether it had none."""
    recorded = connection.execute(
        text(
            "insert into night (nightly_id, date, state, reason)"
            " select id, :date, :state, :reason from nightly where id = :nightly"
            " on conflict on constraint night_once do nothing"
        ),
        {"nightly": nightly_id, "date": date, "state": state, "reason": reason},
    )
    return recorded.rowcount == 1


def _lock(night_id: int) -> dict[str, int]:
    return {"kind": locks.NIGHT, "night": night_id % 2**31}
