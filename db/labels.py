"""The one transaction that ends a scoring: fence, labels, daily counts, current version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from core.messages import ScoringKey

FENCE = """
update scoring set state = 'done', n_labelled = :n, lease_until = null, holder = null,
    finished_at = clock_timestamp(), timings = :timings
where chunk_id = :chunk and version_id = :version and state = 'running' and attempt = :attempt
"""

WRITE = """
with written as (
    insert into label
        (document_id, version_id, label, p_negative, p_neutral, p_positive, windowed)
    select t.document_id, :version, t.label, t.p_negative, t.p_neutral, t.p_positive, t.windowed
    from unnest(cast(:document_ids as bigint[]), cast(:labels as sentiment_label[]),
                cast(:p_negative as real[]), cast(:p_neutral as real[]),
                cast(:p_positive as real[]), cast(:windowed as boolean[]))
        as t (document_id, label, p_negative, p_neutral, p_positive, windowed)
    returning document_id, label
)
insert into scoring_daily (chunk_id, version_id, source_id, day, label, n)
select :chunk, :version, d.source_id, cast(d.written_at at time zone :timezone as date) as day,
       w.label, count(*)
from written w join document d on d.id = w.document_id
group by d.source_id, day, w.label
"""

# The wanted version's labels are shown, and any other's only where there are none yet: a chunk
# whose first scoring runs while a rescore asks for another version gets them as early as before.
SHOW = """
update chunk set current_version_id = :version
where id = :chunk and (wanted_version_id = :version or current_version_id is null)
"""


@dataclass(frozen=True)
class LabelColumns:
    """Labels as columns of equal length."""

    document_ids: Sequence[int]
    labels: Sequence[str]
    p_negative: Sequence[float]
    p_neutral: Sequence[float]
    p_positive: Sequence[float]
    windowed: Sequence[bool]


def finish(
    connection: Connection,
    key: ScoringKey,
    attempt: int,
    columns: LabelColumns,
    *,
    timezone: str,
    timings: Mapping[str, float],
) -> bool:
    """Write a chunk's labels and end its scoring, all or nothing.

    Returns:
        False when the scoring is no longer this attempt's: nothing was written.
    """
    ids = {"chunk": key.chunk_id, "version": key.version_id}
    fence = connection.execute(
        text(FENCE).bindparams(bindparam("timings", type_=JSONB)),
        {"n": len(columns.document_ids), "attempt": attempt, "timings": dict(timings), **ids},
    )
    if fence.rowcount != 1:
        return False
    connection.execute(text(WRITE), {"timezone": timezone, **columns.__dict__, **ids})
    connection.execute(text(SHOW), ids)
    return True
