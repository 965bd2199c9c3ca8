"""Statements that tell how far the work has come. They change nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from db import isolation
from db.isolation import Failure

RATE_WINDOW_S = 60


@dataclass(frozen=True)
class CrawlStatus:
    """One row of the view `crawl_status`."""

    crawl: int
    source: str
    state: str
    files: str | None
    read: int
    accepted: int
    duplicate: int
    rejected: int
    chunks: int
    chunks_done: int
    labelled: int
    failed: int
    started_at: datetime
    finished_at: datetime | None
    repaired: int
    rescoring: int


@dataclass(frozen=True)
class WorkStatus:
    """Open work of crawls: scorings by state, documents left; and the last minute's rate of all."""

    pending: int
    running: int
    failed: int
    documents_left: int
    documents_per_s: float


@dataclass(frozen=True)
class RescoreStatus:
    """What a version has still to label again: chunks and documents left, documents it failed on.

    Until then, and after a failure, they keep the labels that they have.
    """

    version: str
    chunks: int
    documents: int
    failed: int


@dataclass(frozen=True)
class SourceWork:
    """What is open in one source: scorings, and documents left of all in crawls with open work."""

    open_scorings: int
    documents_left: int
    documents: int


@dataclass(frozen=True)
class LabelCount:
    """How many documents carry a label."""

    label: str
    label_ko: str
    n: int


@dataclass(frozen=True)
class LabelledDocument:
    """One document as the view `sentiment` shows it, with the probability of its label."""

    text: str
    label: str
    label_ko: str
    probability: float


def list_crawls(connection: Connection, limit: int) -> list[CrawlStatus]:
    """The newest crawls first."""
    rows = connection.execute(
        text("select * from crawl_status order by crawl desc limit :limit"), {"limit": limit}
    )
    return [CrawlStatus(**row._mapping) for row in rows]


def crawl_status(connection: Connection, crawl_id: int) -> CrawlStatus | None:
    """How far one crawl has come."""
    row = connection.execute(
        text("select * from crawl_status where crawl = :crawl"), {"crawl": crawl_id}
    ).one_or_none()
    return None if row is None else CrawlStatus(**row._mapping)


def work_status(connection: Connection) -> WorkStatus:
    """What is open in all crawls, rescores left out, and how fast all goes."""
    row = connection.execute(
        text(
            "select count(*) filter (where s.state = 'pending') as pending,"
            " count(*) filter (where s.state = 'running') as running,"
            " count(*) filter (where s.state = 'failed') as failed,"
            " coalesce(sum(c.n_documents) filter (where s.state <> 'failed'), 0)"
            "  as documents_left,"
            " (select coalesce(sum(n_labelled), 0) from scoring where state = 'done'"
            "  and finished_at > now() - make_interval(secs => :window_s)) as recent"
            " from scoring s join chunk c on c.id = s.chunk_id"
            "  and c.wanted_version_id = s.version_id and c.current_version_id is null"
            " where s.state in ('pending', 'running', 'failed')"
        ),
        {"window_s": RATE_WINDOW_S},
    ).one()
    return WorkStatus(
        int(row.pending),
        int(row.running),
        int(row.failed),
        int(row.documents_left),
        float(row.recent) / RATE_WINDOW_S,
    )


def rescore_status(connection: Connection) -> list[RescoreStatus]:
    """What is left of rescores, by version."""
    rows = connection.execute(text("select * from rescore_status order by version"))
    return [RescoreStatus(**row._mapping) for row in rows]


def source_work(connection: Connection, source: str) -> SourceWork:
    """How far the open crawls of one source have come, rescores left out."""
    row = connection.execute(
        text(
            "select count(*) filter (where open) as open_scorings,"
            " coalesce(sum(n_documents) filter (where open), 0) as documents_left,"
            " coalesce(sum(n_documents), 0) as documents"
            " from (select n_documents, open, bool_or(open) over (partition by crawl_id) as unended"
            "  from (select c.n_documents, c.crawl_id,"
            "   c.current_version_id is null and s.state in ('pending', 'running') as open"
            "   from chunk c"
            "   join scoring s on s.chunk_id = c.id and s.version_id = c.wanted_version_id"
            "   join crawl cr on cr.id = c.crawl_id join source so on so.id = cr.source_id"
            "   where so.name = :source) scored) work"
            " where unended"
        ),
        {"source": source},
    ).one()
    return SourceWork(int(row.open_scorings), int(row.documents_left), int(row.documents))


def last_failure(connection: Connection, crawl_id: int) -> Failure | None:
    """Why documents of a crawl have no label."""
    chunks = connection.scalars(
        text("select id from chunk where crawl_id = :crawl"), {"crawl": crawl_id}
    ).all()
    return isolation.last_failure(connection, chunks)


def count_labels(connection: Connection, source: str, crawl_id: int | None) -> list[LabelCount]:
    """Documents by label, of one crawl or of a whole source, by what the views show."""
    rows = connection.execute(
        text(
            "select sd.label::text as label, label_ko(sd.label) as label_ko, sum(sd.n)::bigint as n"
            " from scoring_daily sd"
            " join chunk c on c.id = sd.chunk_id and c.current_version_id = sd.version_id"
            " join source s on s.id = sd.source_id"
            " where s.name = :source and (cast(:crawl as bigint) is null or c.crawl_id = :crawl)"
            " group by sd.label order by sd.label"
        ),
        {"source": source, "crawl": crawl_id},
    )
    return [LabelCount(**row._mapping) for row in rows]


def sample_documents(connection: Connection, source: str, per_label: int) -> list[LabelledDocument]:
    """The newest labelled documents of a source, a few of each label."""
    rows = connection.execute(
        text(
            "select text, label, label_ko,"
            " greatest(p_negative, p_neutral, p_positive) as probability from ("
            "  select *, row_number() over (partition by label order by document_id desc) as place"
            "  from (select * from sentiment where source = :source"
            "        order by document_id desc limit 1000) recent"
            " ) ranked where place <= :per_label order by label, document_id"
        ),
        {"source": source, "per_label": per_label},
    )
    return [LabelledDocument(**row._mapping) for row in rows]
