"""Statements that have stored chunks labelled again: by a version, or as before it in a rollback.

They only set what is wanted and make, drop or raise scorings; workers do the rest. The views follow
`chunk.current_version_id`, so a chunk shows its labels of before until it has new ones. Labels are
never deleted: where they are there already, a chunk shows them at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields

from sqlalchemy import Connection, text

from db.isolation import last_failure
from db.locks import wait_for_feed_lock
from db.silence import wait_however_long
from db.versions import activation_path


@dataclass(frozen=True)
class Scope:
    """Which stored chunks. Days are those of `sentiment_daily`, the last one included."""

    source_id: int | None = None
    since: dt.date | None = None
    until: dt.date | None = None

    @property
    def dated(self) -> bool:
        """Whether days were given. Documents of no day are then never meant."""
        return self.since is not None or self.until is not None


@dataclass(frozen=True)
class Matched:
    """The chunks of a scope, oldest first, and how many of their documents it means.

    A chunk is labelled whole, so `documents - meant` are labelled again because they share one.
    """

    chunk_ids: list[int]
    documents: int
    meant: int


@dataclass(frozen=True)
class Share:
    """Some chunks, and how many documents are in them."""

    chunks: int = 0
    documents: int = 0

    def __add__(self, other: Share) -> Share:
        return Share(self.chunks + other.chunks, self.documents + other.documents)


@dataclass(frozen=True)
class Outcome:
    """What became of chunks that are to be labelled by another version."""

    to_label: Share = Share()
    """A worker is to label them, in the background."""
    at_once: Share = Share()
    """The labels are there, and are shown from now on."""
    under_way: Share = Share()
    """They were to be labelled by it already."""
    already: Share = Share()
    """They show its labels already."""

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            *(getattr(self, field.name) + getattr(other, field.name) for field in fields(self))
        )


@dataclass(frozen=True)
class Ended:
    """Documents that a version labelled, and those that it failed on, with the newest reason.

    whole: all of a chunk failed, which can be retried; until then it keeps the labels that it has.
    """

    labelled: int
    failed: int
    reason: str | None
    whole: bool


def match_chunks(connection: Connection, scope: Scope, *, timezone: str) -> Matched:
    """Find the chunks of released crawls in which any document is meant.

    Args:
        connection: reads only.
        scope: source and days.
        timezone: days are counted in it where a chunk has no daily counts yet.
    """
    rows = connection.execute(
        text(
            "select c.id, c.n_documents, meant.n from chunk c"
            " join crawl r on r.id = c.crawl_id and r.state = 'released'"
            " cross join lateral (select case"
            "  when not :dated then c.n_documents"
            "  when c.current_version_id is null then ("
            "   select count(*) from document d where d.chunk_id = c.id"
            "   and cast(d.written_at at time zone :timezone as date) between :since and :until)"
            "  else ("
            "   select coalesce(sum(sd.n), 0) from scoring_daily sd where sd.chunk_id = c.id"
            "   and sd.version_id = c.current_version_id and sd.day between :since and :until)"
            "  end as n) meant"
            " where (cast(:source as bigint) is null or r.source_id = :source) and meant.n > 0"
            " order by c.id"
        ),
        {
            "source": scope.source_id,
            "dated": scope.dated,
            "since": scope.since or dt.date.min,
            "until": scope.until or dt.date.max,
            "timezone": timezone,
        },
    ).all()
    return Matched(
        [row.id for row in rows],
        sum(row.n_documents for row in rows),
        sum(int(row.n) for row in rows),
    )


def rescore(connection: Connection, version_id: int, chunk_ids: Sequence[int]) -> Outcome:
    """Have chunks labelled by a version. The same again changes nothing.

    Args:
        connection: in a transaction of this call alone, ended soon: nobody feeds meanwhile.
        version_id: to label them.
        chunk_ids: of released crawls, up to some thousand. Those that are gone are left out.
    """
    return _label_by(connection, version_id, chunk_ids, path=(), refused=None)


def roll_back(connection: Connection, bad_version_id: int, good_version_id: int) -> Outcome:
    """Have what one version was to label shown as before it.

    A chunk shows the good version's labels at once, or those of a version that was active before
    that one; where there are none of them, the good version is to label it.

    Args:
        connection: in the transaction that made the good version active, which keeps releases of
            crawls away, so that no chunk of the bad version is overlooked.
        bad_version_id: no scoring of it stays open in those chunks. One that runs ends without a
            trace.
        good_version_id: the active version.
    """
    wait_however_long(connection)  # all chunks or none
    chunk_ids = connection.scalars(
        text("select id from chunk where wanted_version_id = :bad order by id"),
        {"bad": bad_version_id},
    ).all()
    path = [known for known in reversed(activation_path(connection)) if known != bad_version_id]
    return _label_by(
        connection,
        good_version_id,
        chunk_ids,
        path=[good_version_id, *path],
        refused=bad_version_id,
    )


def open_work(connection: Connection, version_id: int, chunk_ids: Sequence[int]) -> Share:
    """How many of the chunks a version has still to label."""
    row = connection.execute(
        text(
            "select count(*) as chunks, coalesce(sum(c.n_documents), 0) as documents"
            " from scoring s join chunk c on c.id = s.chunk_id"
            " where s.version_id = :version and s.chunk_id = any(:chunks)"
            " and s.state in ('pending', 'running')"
        ),
        {"version": version_id, "chunks": list(chunk_ids)},
    ).one()
    return Share(int(row.chunks), int(row.documents))


def ended_work(connection: Connection, version_id: int, chunk_ids: Sequence[int]) -> Ended:
    """What a version made of the chunks so far."""
    row = connection.execute(
        text(
            "select coalesce(sum(n_labelled), 0) as labelled, coalesce(sum(n_failed), 0) as failed"
            " from scoring where version_id = :version and chunk_id = any(:chunks)"
        ),
        {"version": version_id, "chunks": list(chunk_ids)},
    ).one()
    failure = last_failure(connection, chunk_ids, version_id)
    reason, whole = (failure.reason, failure.whole) if failure else (None, False)
    return Ended(int(row.labelled), int(row.failed), reason, whole)


# What can be in another's hands is locked in the order of `db.labels.finish`: scoring, then chunk.
_LOCKS = (
    "select count(*) from (select from crawl where id in"
    " (select crawl_id from chunk where id = any(:chunks)) order by id for key share) held",
    "select count(*) from (select from scoring where chunk_id = any(:chunks)"
    " and state in ('pending', 'running') order by chunk_id, version_id for update) held",
    "select count(*) from (select from chunk where id = any(:chunks)"
    " order by id for no key update) held",
)

# `target`: the version that is to label the chunk, or whose labels it shows at once.
# A chunk without labels waits as one of a new crawl does; what it is being labelled with ends, so
# that it has labels as early as before, unless that version is refused.
_LABEL_BY = """
with given as (
    select c.id, c.n_documents, c.wanted_version_id as wanted, c.current_version_id as shown,
           coalesce(kept.version_id, :version) as target
    from chunk c
    left join lateral (
        select s.version_id from scoring s
        where s.chunk_id = c.id and s.state = 'done'
        and s.version_id = any(cast(:path as bigint[]))
        order by array_position(cast(:path as bigint[]), s.version_id) limit 1
    ) kept on true
    where c.id = any(:chunks)
), judged as (
    select g.*, case
        when s.state = 'done' and g.shown = g.target and g.wanted = g.target then 'already'
        when s.state = 'done' then 'at_once'
        when s.state in ('pending', 'running') then 'under_way'
        else 'to_label' end as outcome
    from given g left join scoring s on s.chunk_id = g.id and s.version_id = g.target
), moved as (
    update chunk c set
        wanted_version_id = j.target,
        current_version_id =
            case when j.outcome = 'at_once' then j.target else c.current_version_id end
    from judged j
    where c.id = j.id and (j.wanted is distinct from j.target or j.outcome = 'at_once')
), queued as (
    insert into scoring (chunk_id, version_id, precedence)
    select id, target, case when shown is null then 0 else 1 end
    from judged where outcome = 'to_label'
    on conflict on constraint scoring_pk do update set
        state = 'pending', precedence = excluded.precedence, tries = 0, n_failed = 0, reason = null,
        finished_at = null, published_at = null, next_try_at = now(), waiting_since = now()
    where scoring.state = 'failed'
), dropped as (
    delete from scoring s using judged j
    where s.chunk_id = j.id and s.version_id <> j.target
    and (s.state = 'pending' or (
        s.state = 'running' and (j.shown is not null or s.version_id = :refused)))
)
select outcome, count(*) as chunks, sum(n_documents) as documents from judged group by outcome
"""


def _label_by(
    connection: Connection,
    version_id: int,
    chunk_ids: Sequence[int],
    *,
    path: Sequence[int],
    refused: int | None,
) -> Outcome:
    chunks = {"chunks": list(chunk_ids)}
    wait_for_feed_lock(connection)
    for statement in _LOCKS:
        connection.execute(text(statement), chunks)
    rows = connection.execute(
        text(_LABEL_BY),
        {"version": version_id, "path": list(path), "refused": refused, **chunks},
    )
    return Outcome(**{row.outcome: Share(int(row.chunks), int(row.documents)) for row in rows})
