"""Statements by which a chunk that ended a worker is worked so that the next end names a document.

Before a document, or a small group of them, is computed, its place is written down. When the
process ends, what stood there is suspected (`end_running`); a suspect is worked alone, and one that
was in too many ends has failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from core.messages import ScoringKey

FAILED_AT = 3
"""Weight of ends at which a document is failed: one in a group and one alone are that much."""


@dataclass(frozen=True)
class History:
    """What is known of a chunk's earlier attempts by one version.

    watched: one of them ended in the middle. suspects: document ids that are to be worked alone.
    failed: reasons by id of the documents that are not to be worked again.
    """

    watched: bool
    suspects: frozenset[int]
    failed: Mapping[int, str]


@dataclass(frozen=True)
class Failure:
    """Why documents have no label. whole: all of their chunk's, which can be retried."""

    reason: str
    whole: bool

    def words(self) -> str:
        """The reason, and what to do: to stand in brackets after how many failed."""
        if self.whole:
            return f"{self.reason}; `nifos retry` tries again"
        return f"{self.reason}; document_failure names them, another version tries them again"


def last_failure(
    connection: Connection, chunk_ids: Sequence[int], version_id: int | None = None
) -> Failure | None:
    """Why documents of some chunks have no label: of a chunk that failed, or of a single document.

    Args:
        connection: reads only.
        chunk_ids: whose documents.
        version_id: that failed on them; None: any.
    """
    row = connection.execute(
        text(
            "(select reason, true as whole from scoring"
            "  where state = 'failed' and chunk_id = any(:chunks)"
            "  and (cast(:version as bigint) is null or version_id = :version)"
            "  order by finished_at desc limit 1)"
            " union all"
            " (select f.reason, false from document_failure f join document d"
            "  on d.id = f.document_id and d.chunk_id = any(:chunks)"
            "  where cast(:version as bigint) is null or f.version_id = :version"
            "  order by f.id desc limit 1)"
            " limit 1"
        ),
        {"chunks": list(chunk_ids), "version": version_id},
    ).one_or_none()
    return None if row is None else Failure(row.reason, row.whole)


@dataclass(frozen=True)
class Limits:
    """What the end of an attempt costs.

    most: tries at which the scoring fails for good. cost: tries, where no document is suspected.
    delay_s: seconds before the next attempt, times the tries. suspects: whether what was in hand is
    suspected, and the chunk watched from now on.
    """

    most: int
    cost: int
    delay_s: float
    suspects: bool = True


# What was in hand is suspected, so that every end brings the chunk nearer to its own. A process
# that ended alone with one document in hand ended of it: that weighs double. One that ended with
# its worker, or that nobody has heard of since, may have had other reasons.
_END = """
with ended as (
    select s.chunk_id, s.version_id, in_hand.place,
           s.worker = any(cast(:living as text[])) as alone,
           s.tries + case when in_hand.place is null then :cost else 0 end as tries
    from scoring s
    cross join lateral (select case when :suspects then s.place end as place) in_hand
    where s.state = 'running' and {which} for update of s {locked}
), suspected as (
    insert into suspect (chunk_id, version_id, document_id, crashes, reason)
    select chunk_id, version_id, document_id,
           case when alone and cardinality(place) = 1 then :double else 1 end, :reason
    from ended cross join unnest(place) as document_id
    on conflict on constraint suspect_pk do update set
        crashes = suspect.crashes + excluded.crashes, reason = excluded.reason
)
update scoring s set
    state = case when e.tries >= :most then 'failed' else 'pending' end,
    n_failed = case when e.tries >= :most then c.n_documents else 0 end,
    finished_at = case when e.tries >= :most then now() end,
    tries = e.tries, watched = s.watched or :suspects,
    lease_until = null, holder = null, place = null, published_at = null, reason = :reason,
    next_try_at = now() + make_interval(secs => :delay_s * greatest(e.tries, 1))
from ended e join chunk c on c.id = e.chunk_id
where s.chunk_id = e.chunk_id and s.version_id = e.version_id
"""


def end_running(
    connection: Connection,
    which: str,
    values: Mapping[str, object],
    reason: str,
    limits: Limits,
    living_workers: Sequence[str] = (),
    *,
    skip_locked: bool = False,
) -> int:
    """Return running scorings to pending, or fail them for good. Returns how many.

    Args:
        connection: in a transaction.
        which: a condition on `scoring`.
        values: its parameters.
        reason: why they ended.
        limits: what it costs.
        living_workers: of those above the holders: their children ended alone.
        skip_locked: pass over what another transaction is changing: for a sweep, which comes again.
    """
    locked = "skip locked" if skip_locked else ""
    parameters = {"living": list(living_workers), "double": FAILED_AT - 1, "reason": reason}
    return connection.execute(
        text(_END.format(which=which, locked=locked)), {**parameters, **limits.__dict__, **values}
    ).rowcount


def read_history(connection: Connection, key: ScoringKey) -> History:
    """What earlier attempts left. A scoring that is gone has none."""
    watched = connection.scalar(
        text("select watched from scoring where chunk_id = :chunk and version_id = :version"),
        _ids(key),
    )
    if not watched:
        return History(False, frozenset(), {})
    rows = connection.execute(
        text(
            "select document_id, crashes, reason from suspect"
            " where chunk_id = :chunk and version_id = :version"
        ),
        _ids(key),
    ).all()
    failed = {int(row.document_id): str(row.reason) for row in rows if row.crashes >= FAILED_AT}
    suspects = frozenset(int(row.document_id) for row in rows) - failed.keys()
    return History(True, suspects, failed)


def note_place(
    connection: Connection,
    key: ScoringKey,
    attempt: int,
    worker: str,
    document_ids: Sequence[int] | None,
) -> bool:
    """Write down what is computed next; None: nothing is. False: the scoring is not ours any more.

    Args:
        connection: its transaction is to be committed before the computation.
        key: which scoring.
        attempt: ours.
        worker: the process above ours, so that an end with it is told from an end of ours alone.
        document_ids: of this chunk.
    """
    noted = connection.execute(
        text(
            "update scoring set place = cast(:place as bigint[]), worker = :worker"
            " where chunk_id = :chunk and version_id = :version"
            " and state = 'running' and attempt = :attempt"
        ),
        {
            "place": None if document_ids is None else list(document_ids),
            "worker": worker,
            "attempt": attempt,
            **_ids(key),
        },
    )
    return noted.rowcount == 1


def settle(connection: Connection, key: ScoringKey, failures: Mapping[int, str]) -> None:
    """Record which documents a version failed on and why; suspects need not be known any more.

    In the transaction that ends the scoring, behind its fence.
    """
    connection.execute(
        text("delete from suspect where chunk_id = :chunk and version_id = :version"), _ids(key)
    )
    if failures:
        connection.execute(
            text(
                "insert into document_failure (document_id, version_id, reason)"
                " select id, :version, reason"
                " from unnest(cast(:ids as bigint[]), cast(:reasons as text[])) as f (id, reason)"
            ),
            {"ids": list(failures), "reasons": list(failures.values()), "version": key.version_id},
        )


def _ids(key: ScoringKey) -> dict[str, int]:
    return {"chunk": key.chunk_id, "version": key.version_id}
