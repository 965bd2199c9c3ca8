"""The one transaction that ends a scoring: fence, labels, daily counts, current version."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from core.errors import NifosError
from core.messages import ScoringKey
from db import isolation
from db.array_parameters import BinaryArray
from db.arrays import BIGINT, BOOLEAN, REAL, SMALLINT, binary_array

FENCE = """
update scoring set state = 'done', n_labelled = :n, n_failed = :n_failed,
    lease_until = null, holder = null,
    finished_at = clock_timestamp(), machine = split_part(holder, '/', 1),
    timings = :timings, engine = :engine, precision = :precision
where chunk_id = :chunk and version_id = :version and state = 'running' and attempt = :attempt
"""

# Labels come as numbers in the enum's own order, and columns in the binary format; the join goes by
# the chunk, which is one range of an index (docs/decisions/0012).
WRITE = """
with written as (
    insert into label
        (document_id, version_id, label, p_negative, p_neutral, p_positive, windowed)
    select t.document_id, :version, (enum_range(null::sentiment_label))[t.label_id + 1],
        t.p_negative, t.p_neutral, t.p_positive, t.windowed
    from unnest(cast(:document_ids as bigint[]), cast(:label_ids as smallint[]),
                cast(:p_negative as real[]), cast(:p_neutral as real[]),
                cast(:p_positive as real[]), cast(:windowed as boolean[]))
        as t (document_id, label_id, p_negative, p_neutral, p_positive, windowed)
    returning document_id, label
), counted as (
    insert into scoring_daily (chunk_id, version_id, source_id, day, label, n)
    select :chunk, :version, d.source_id, cast(d.written_at at time zone :timezone as date) as day,
           w.label, count(*)
    from document d join written w on w.document_id = d.id
    where d.chunk_id = :chunk
    group by d.source_id, day, w.label
    returning n
)
select coalesce(sum(n), 0) from counted
"""

# The wanted version's labels are shown, and any other's only where there are none yet: a chunk
# whose first scoring runs while a rescore asks for another version gets them as early as before.
SHOW = """
update chunk set current_version_id = :version
where id = :chunk and (wanted_version_id = :version or current_version_id is null)
"""

# How long the labels took can be written only behind them. No index is over what this changes.
WRITTEN = """
update scoring set timings = timings || jsonb_build_object('write_s', cast(:write_s as numeric))
where chunk_id = :chunk and version_id = :version
"""


@dataclass(frozen=True)
class LabelColumns:
    """Labels as columns of equal length.

    document_ids: bigint [documents], all of one chunk. label_ids: int8 [documents], places in the
    enum `sentiment_label`. probabilities: float32 [documents, 3], of the labels in that order.
    windowed: bool [documents]. failures: the other documents of the chunk, with their reasons.
    """

    document_ids: Sequence[int]
    label_ids: NDArray[np.int8]
    probabilities: NDArray[np.float32]
    windowed: NDArray[np.bool_]
    failures: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """What computed a chunk, and how long each part took.

    timings: seconds (`read_s`, `prepare_s`, `tokenize_s`, `compute_s`) and counts (`documents`,
    `texts`, `tokens`, `padded_tokens`); `write_s` is added here.
    """

    timings: Mapping[str, float] = field(default_factory=dict)
    engine: str | None = None
    precision: str | None = None


def finish(
    connection: Connection,
    key: ScoringKey,
    attempt: int,
    columns: LabelColumns,
    *,
    timezone: str,
    measured: Measured,
) -> bool:
    """Write a chunk's labels, and why a document has none, and end its scoring: all or nothing.

    `write_s` is the time from the fence to the last label and count, the COMMIT left out: nothing
    that is written in a transaction can know how long its own COMMIT takes.

    Returns:
        False when the scoring is no longer this attempt's: nothing was written.

    Raises:
        NifosError: a document is not of this chunk, or has a label already.
    """
    ids = {"chunk": key.chunk_id, "version": key.version_id}
    start = time.perf_counter()
    fence = connection.execute(
        text(FENCE).bindparams(bindparam("timings", type_=JSONB)),
        {
            "n": len(columns.document_ids),
            "n_failed": len(columns.failures),
            "attempt": attempt,
            "timings": dict(measured.timings),
            "engine": measured.engine,
            "precision": measured.precision,
            **ids,
        },
    )
    if fence.rowcount != 1:
        return False
    written = connection.scalar(text(WRITE), {"timezone": timezone, **_arrays(columns), **ids})
    if written != len(columns.document_ids):
        raise NifosError(f"chunk {key.chunk_id}: a document that was labelled is not of it")
    isolation.settle(connection, key, columns.failures)
    connection.execute(text(SHOW), ids)
    write_s = round(time.perf_counter() - start, 4)
    connection.execute(text(WRITTEN), {"write_s": write_s, **ids})
    return True


def _arrays(columns: LabelColumns) -> dict[str, BinaryArray]:
    negative, neutral, positive = columns.probabilities.T
    return {
        "document_ids": binary_array(columns.document_ids, BIGINT),
        "label_ids": binary_array(columns.label_ids, SMALLINT),
        "p_negative": binary_array(negative, REAL),
        "p_neutral": binary_array(neutral, REAL),
        "p_positive": binary_array(positive, REAL),
        "windowed": binary_array(columns.windowed, BOOLEAN),
    }
