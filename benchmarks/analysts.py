"""A database with many labels, and what analysts ask of it."""

from __future__ import annotations

import time

from sqlalchemy import text

from db.engine import Engine, transaction
from db.query import read_only

TIMEZONE = "Asia/Seoul"
FIRST = 1_000_000  # chunk ids from here on are of this module
COPY_CHUNKS = 10_000  # more chunks than are copied: ids of one copy do not meet another's

# The documents that are there, again and again under other ids, with labels by chance.
FILL = (
    "insert into chunk (id, crawl_id, n_documents, wanted_version_id, current_version_id)"
    " overriding system value"
    " select :first + :copies * n + c.id, c.crawl_id, c.n_documents, v.id, v.id"
    " from chunk c, generate_series(1, :times) n, version v"
    " where c.id < :first and v.state = 'active'",
    "insert into document (source_id, external_id, written_at, text, text_hash, chunk_id)"
    " select d.source_id, d.external_id || '-' || n, d.written_at, d.text, d.text_hash,"
    "  :first + :copies * n + d.chunk_id"
    " from document d, generate_series(1, :times) n where d.chunk_id < :first",
    "insert into scoring (chunk_id, version_id, state, n_labelled, finished_at)"
    " select c.id, c.wanted_version_id, 'done', c.n_documents, now()"
    " from chunk c where c.id >= :first",
    "insert into label"
    " (document_id, version_id, label, p_negative, p_neutral, p_positive, windowed)"
    " select d.id, c.wanted_version_id,"
    "  (enum_range(null::sentiment_label))[1 + floor(3 * random())::int],"
    "  random(), random(), random(), false"
    " from document d join chunk c on c.id = d.chunk_id where c.id >= :first",
    "insert into scoring_daily (chunk_id, version_id, source_id, day, label, n)"
    " select d.chunk_id, l.version_id, d.source_id,"
    "  cast(d.written_at at time zone :timezone as date) as day, l.label, count(*)"
    " from document d join label l on l.document_id = d.id"
    " where d.chunk_id >= :first group by d.chunk_id, l.version_id, d.source_id, day, l.label",
)
ASKED = (
    (
        "counts by source and week",
        "select source, date_trunc('week', day) as week, label, sum(n) as n"
        " from sentiment_daily group by 1, 2, 3 order by 1, 2, 3",
    ),
    (
        "labels of the texts with a word",
        "select label, count(*) from sentiment where text like '%배우%' group by 1",
    ),
    (
        "one week's surest negatives",
        "select external_id, text, p_negative from sentiment"
        " where written_at >= '2012-03-05' and written_at < '2012-03-12' and label = 'negative'"
        " order by p_negative desc limit 100",
    ),
)


def make_labels(engine: Engine, labels: int) -> None:
    """Label what the database holds, again and again: about so many, one copy at least."""
    with transaction(engine) as connection:
        # Some ten seconds a statement, which is no worker's.
        connection.execute(text("set local statement_timeout = 0"))
        held = connection.scalar(text("select count(*) from document")) or 1
        times = max(1, labels // held)
        values = {
            "first": FIRST, "copies": COPY_CHUNKS, "times": times, "timezone": TIMEZONE,
        }  # fmt: skip
        for statement in FILL:
            used = {name: value for name, value in values.items() if f":{name}" in statement}
            connection.execute(text(statement), used)
        connection.execute(text("analyze"))


def ask(engine: Engine, query: str) -> float:
    """Seconds until the last row of an analyst's query is there."""
    start = time.perf_counter()
    with read_only(engine, query, timezone=TIMEZONE) as result:
        for _row in result.rows:
            pass
    return time.perf_counter() - start
