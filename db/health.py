"""Statements that tell whether chunks still move. They change nothing, and judge nothing."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

RECENT_CHUNKS = 200  # whose longest is what a chunk may take here


@dataclass(frozen=True)
class Movement:
    """How scorings move, in seconds by the database's clock.

    pending, running, failed: how many; of failed ones those that are still wanted.
    still_s: since a scoring ended, or since the first open one was asked for where that is later;
    None: nothing is open. due_s: how long the pending one that is due longest has been so.
    published_s, claimed_s: since a message was sent, and since one was taken, if ever.
    longest_s: what the longest of the last chunks took. expired: running, but their leases have run
    out over a minute ago. watched: open ones that ended a worker. reason: of the newest attempt at
    an open one that ended early. failed_reason: of the newest failed one.
    """

    pending: int
    running: int
    failed: int
    still_s: float | None
    due_s: float | None
    published_s: float | None
    claimed_s: float | None
    longest_s: float
    expired: int
    watched: int
    reason: str | None
    failed_reason: str | None


_MOVEMENT = """
select w.*,
    extract(epoch from now() - greatest(w.asked_at, e.ended_at)) as still_s,
    extract(epoch from now() - e.published_at) as published_s,
    extract(epoch from now() - e.claimed_at) as claimed_s,
    l.longest_s
from (
    select count(*) filter (where s.state = 'pending') as pending,
        count(*) filter (where s.state = 'running') as running,
        count(*) filter (where s.state = 'failed' and c.wanted_version_id = s.version_id) as failed,
        min(s.waiting_since) filter (where s.state <> 'failed') as asked_at,
        extract(epoch from now() - min(greatest(s.next_try_at, s.waiting_since))
            filter (where s.state = 'pending' and s.next_try_at <= now())) as due_s,
        count(*) filter (where s.lease_until < now() - interval '1 minute') as expired,
        count(*) filter (where s.watched and s.state <> 'failed') as watched,
        (array_agg(s.reason order by s.started_at desc nulls last)
            filter (where s.state <> 'failed' and s.reason is not null))[1] as reason,
        (array_agg(s.reason order by s.finished_at desc)
            filter (where s.state = 'failed'))[1] as failed_reason
    from scoring s join chunk c on c.id = s.chunk_id
    where s.state in ('pending', 'running', 'failed')
) w, (
    select max(finished_at) as ended_at, max(published_at) as published_at,
        max(started_at) as claimed_at
    from scoring
) e, (
    select coalesce(max(extract(epoch from finished_at - started_at)), 0) as longest_s from (
        select finished_at, started_at from scoring where state = 'done'
        order by finished_at desc limit :recent
    ) recent
) l
"""


def read_movement(connection: Connection) -> Movement:
    """How scorings move at this moment."""
    row = connection.execute(text(_MOVEMENT), {"recent": RECENT_CHUNKS}).one()
    return Movement(
        pending=int(row.pending),
        running=int(row.running),
        failed=int(row.failed),
        # What has failed is not open; without anything open `greatest` would tell of the last end.
        still_s=_seconds(row.still_s) if row.pending or row.running else None,
        due_s=_seconds(row.due_s),
        published_s=_seconds(row.published_s),
        claimed_s=_seconds(row.claimed_s),
        longest_s=float(row.longest_s),
        expired=int(row.expired),
        watched=int(row.watched),
        reason=row.reason,
        failed_reason=row.failed_reason,
    )


def _seconds(value: object) -> float | None:
    return None if value is None else float(str(value))
