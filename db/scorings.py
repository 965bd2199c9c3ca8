"""Statements that move a scoring: pending -> running -> done or failed, and back to pending.

All of them go by the database's clock. `attempt` only grows and fences; `tries` counts what a
chunk may still cost and is used up by crashes and by errors of the chunk itself, never by an
unreachable service, nor by a crash that documents are suspected of (`db.isolation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from core.messages import ScoringKey
from db.isolation import Limits, end_running

MAX_TRIES = 3
MAX_CRASHES = 5  # tries at which a crash fails it: who kills a worker may mean no chunk of it
LEASE_S = 60  # how long a silent worker keeps its chunk; renewed several times in it
RETRY_DELAY_S = 2  # after a chunk's own error or crash, times the tries so far

_CRASHED = Limits(MAX_CRASHES, cost=1, delay_s=RETRY_DELAY_S)
_MINE = "chunk_id = :chunk and version_id = :version and attempt = :attempt"


@dataclass(frozen=True)
class ScoringState:
    """Where a scoring stands and which attempt it is."""

    state: str
    attempt: int


def claim(connection: Connection, key: ScoringKey, holder: str) -> int | None:
    """Turn a pending scoring to running, unless work that comes first is due.

    A message may have been on its way when a new crawl came; its scoring is published again later.

    Returns:
        The attempt that is now ours, or None when there is nothing to claim.
    """
    attempt = connection.scalar(
        text(
            "update scoring set state = 'running', attempt = attempt + 1, holder = :holder,"
            " lease_until = now() + make_interval(secs => :lease_s),"
            " started_at = now(), reason = null, place = null"
            " where (chunk_id, version_id) in ("
            "  select chunk_id, version_id from scoring s"
            "  where chunk_id = :chunk and version_id = :version"
            "  and state = 'pending' and next_try_at <= now()"
            "  and not exists (select from scoring f where f.state = 'pending'"
            "   and f.precedence < s.precedence and f.next_try_at <= now())"
            "  for update of s skip locked)"
            " returning attempt"
        ),
        {"holder": holder, "lease_s": LEASE_S, **_ids(key)},
    )
    return None if attempt is None else int(attempt)


def renew_lease(connection: Connection, key: ScoringKey, attempt: int) -> bool:
    """Keep a running scoring. False: it is no longer ours, stop."""
    renewed = connection.execute(
        text(
            "update scoring set lease_until = now() + make_interval(secs => :lease_s)"
            " where chunk_id = :chunk and version_id = :version"
            " and state = 'running' and attempt = :attempt"
        ),
        {"lease_s": LEASE_S, "attempt": attempt, **_ids(key)},
    )
    return renewed.rowcount == 1


def give_back(
    connection: Connection, key: ScoringKey, attempt: int, reason: str, delay_s: float
) -> None:
    """Return a running scoring to pending, its tries untouched: a service failed, not the chunk."""
    connection.execute(
        text(
            "update scoring set state = 'pending', lease_until = null, holder = null,"
            " published_at = null, reason = :reason,"
            " next_try_at = now() + make_interval(secs => :delay_s)"
            " where chunk_id = :chunk and version_id = :version"
            " and state = 'running' and attempt = :attempt"
        ),
        {"reason": reason, "delay_s": delay_s, "attempt": attempt, **_ids(key)},
    )


def give_back_held_by(connection: Connection, holders: Sequence[str], reason: str) -> int:
    """Return scorings of processes that were stopped on purpose: no try is used up."""
    return connection.execute(
        text(
            "update scoring set state = 'pending', lease_until = null, holder = null,"
            " published_at = null, reason = :reason, next_try_at = now()"
            " where state = 'running' and holder = any(:holders)"
        ),
        {"reason": reason, "holders": list(holders)},
    ).rowcount


def fail_try(connection: Connection, key: ScoringKey, attempt: int, reason: str) -> None:
    """Record an error of the chunk itself: one try is used up."""
    limits = Limits(MAX_TRIES, cost=1, delay_s=RETRY_DELAY_S, suspects=False)
    end_running(connection, _MINE, {"attempt": attempt, **_ids(key)}, reason, limits)


def give_back_broken(
    connection: Connection, key: ScoringKey, attempt: int, reason: str, delay_s: float
) -> None:
    """Return a running scoring because the device failed: no try is used up.

    It may be the device's fault, which passes, or a document's, which would come back for ever.
    """
    limits = Limits(MAX_CRASHES, cost=0, delay_s=delay_s)
    end_running(connection, _MINE, {"attempt": attempt, **_ids(key)}, reason, limits)


def return_expired(connection: Connection) -> int:
    """Return scorings whose lease ran out, but for those being changed now. Returns how many."""
    return end_running(
        *(connection, "lease_until < now()", {}, "lease expired", _CRASHED), skip_locked=True
    )


def return_held_by(
    connection: Connection, holders: Sequence[str], living_workers: Sequence[str] = ()
) -> int:
    """Return scorings whose holders are known to have ended, but for those being changed now.

    Args:
        connection: in a transaction.
        holders: that have ended.
        living_workers: of those above them (`workers_of`): their children ended alone.

    Returns:
        How many. A dead one's transaction may last a moment longer: the next call finds it over.
    """
    return end_running(
        *(connection, "holder = any(:holders)", {"holders": list(holders)}),
        *("the process ended", _CRASHED, living_workers),
        skip_locked=True,
    )


def workers_of(connection: Connection, holders: Sequence[str]) -> list[str]:
    """The processes above holders that work in isolation."""
    return list(
        connection.scalars(
            text(
                "select distinct worker from scoring"
                " where state = 'running' and place is not null and holder = any(:holders)"
            ),
            {"holders": list(holders)},
        )
    )


def lease_holders(connection: Connection, machine: str) -> list[str]:
    """Who of one machine holds leases now."""
    return list(
        connection.scalars(
            text(
                "select distinct holder from scoring"
                " where state = 'running' and starts_with(holder, :machine)"
            ),
            {"machine": f"{machine}/"},
        )
    )


def due_to_publish(
    connection: Connection, window: int, depth: int, *, rescores: int = 8
) -> list[ScoringKey]:
    """Pick the scorings that the queue lacks, and mark them as published.

    The queue ought to hold as many messages as there are due scorings, up to the window. What it
    lacks is made up from those never published, then from those published longest ago, which is
    what a Redis that came back empty needs.

    Args:
        connection: in a transaction that holds the feed lock.
        window: how many messages the queue may hold.
        depth: how many it holds.
        rescores: how many of them may be of chunks that are labelled again, so that a new crawl
            never waits behind a window of those.
    """
    rows = connection.execute(
        text(
            "with due as ("
            "  (select chunk_id, version_id, precedence, published_at from scoring"
            "   where state = 'pending' and precedence <= 0 and next_try_at <= now()"
            "   order by precedence, chunk_id limit :window)"
            "  union all"
            "  (select chunk_id, version_id, precedence, published_at from scoring"
            "   where state = 'pending' and precedence > 0 and next_try_at <= now()"
            "   order by precedence, chunk_id limit :rescores)"
            "  order by precedence, chunk_id limit :window),"
            " lacking as (select * from due order by (published_at is not null), precedence,"
            "  published_at, chunk_id limit greatest(0, (select count(*) from due) - :depth))"
            " update scoring s set published_at = clock_timestamp() from lacking l"
            " where s.chunk_id = l.chunk_id and s.version_id = l.version_id"
            " returning s.precedence, s.chunk_id, s.version_id"
        ),
        {"window": window, "depth": depth, "rescores": rescores},
    ).all()
    return [ScoringKey(row.chunk_id, row.version_id) for row in sorted(rows)]


def read_state(connection: Connection, key: ScoringKey) -> ScoringState | None:
    """Where a scoring stands; None when it is gone."""
    row = connection.execute(
        text(
            "select state, attempt from scoring where chunk_id = :chunk and version_id = :version"
        ),
        _ids(key),
    ).one_or_none()
    return None if row is None else ScoringState(row.state, row.attempt)


def retry_failed(connection: Connection, crawl_id: int | None) -> int:
    """Return failed scorings, of one crawl or of all, to pending with all their tries.

    Not single documents of a done one: they would end workers again. Another version tries them.

    Those of a version that the chunk is no longer to be labelled by stay as they are.
    """
    return connection.execute(
        text(
            "with again as ("
            "  select s.chunk_id, s.version_id from scoring s join chunk c on c.id = s.chunk_id"
            "  where s.state = 'failed' and c.wanted_version_id = s.version_id"
            "  and (cast(:crawl as bigint) is null or c.crawl_id = :crawl) for update of s"
            "), cleared as (delete from suspect u using again a"
            "  where u.chunk_id = a.chunk_id and u.version_id = a.version_id)"
            " update scoring s set state = 'pending', tries = 0, n_failed = 0, reason = null,"
            " finished_at = null, published_at = null, next_try_at = now(), waiting_since = now()"
            " from again a where a.chunk_id = s.chunk_id and a.version_id = s.version_id"
        ),
        {"crawl": crawl_id},
    ).rowcount


def _ids(key: ScoringKey) -> dict[str, int]:
    return {"chunk": key.chunk_id, "version": key.version_id}
