"""How fast the last chunks were labelled, by what, and where their time went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, text

SPEED_WINDOW_S = 300  # long enough for a few chunks of a slow model, short enough to be "now"

STEPS = ("read", "prepare", "tokenize", "compute", "write")


@dataclass(frozen=True)
class Speed:
    """What one engine in one precision did of late, all workers together.

    documents_per_s, tokens_per_s: over the time from the first claim (or the window's start) to the
    last end, so that an idle queue does not count. padding_share: 0 to 1, of the places that were
    computed. time_share: step (of `STEPS`, and `other`) -> 0 to 1, of the workers' measured time.
    """

    engine: str | None
    precision: str | None
    chunks: int
    documents: int
    documents_per_s: float
    tokens_per_s: float
    padding_share: float | None
    time_share: Mapping[str, float]


def recent_speed(connection: Connection, window_s: float = SPEED_WINDOW_S) -> list[Speed]:
    """The speed of the last minutes, by engine and precision, most documents first."""
    rows = connection.execute(
        text(
            "select engine, precision, count(*) as chunks, sum(documents) as documents,"
            " coalesce(sum(tokens), 0) as tokens,"
            " 1 - sum(tokens) / nullif(sum(padded_tokens), 0) as padding_share,"
            " sum(seconds) as seconds, sum(read_s) as read, sum(prepare_s) as prepare,"
            " sum(tokenize_s) as tokenize, sum(compute_s) as compute, sum(write_s) as write,"
            " extract(epoch from max(finished_at) - greatest(min(started_at),"
            "  now() - make_interval(secs => :window_s))) as span_s"
            " from scoring_speed where finished_at > now() - make_interval(secs => :window_s)"
            " group by engine, precision order by documents desc"
        ),
        {"window_s": window_s},
    )
    return [_speed(row._mapping) for row in rows]


def _speed(row: RowMapping) -> Speed:
    span_s = max(float(row["span_s"]), 1e-3)
    seconds = float(row["seconds"]) or 1.0
    share = {step: float(row[step] or 0) / seconds for step in STEPS}
    share["other"] = max(0.0, 1 - sum(share.values()))
    padding = row["padding_share"]
    return Speed(
        engine=row["engine"],
        precision=row["precision"],
        chunks=row["chunks"],
        documents=row["documents"],
        documents_per_s=round(row["documents"] / span_s, 1),
        tokens_per_s=round(int(row["tokens"]) / span_s, 1),
        padding_share=None if padding is None else round(float(padding), 4),
        time_share={step: round(part, 4) for step, part in share.items()},
    )
