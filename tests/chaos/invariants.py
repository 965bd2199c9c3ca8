"""What must hold, whatever went wrong: asked of the database itself, judged by the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import redis

from core.messages import SCORE_QUEUE
from db.scorings import MAX_CRASHES
from tests.chaos.ledger import Ledger

ROUND_FAULTS = 40  # each may give a scoring back once, at no cost of a try
MOST_ENDS = 3  # of processes, by one document: with its chunk, with a group, alone

# Each finds rows that must not be there. They hold at every moment, also in the middle of a fault.
NEVER = {
    "a crawl's rows do not add up": """
        select id from crawl where read <> accepted + duplicate + rejected""",
    "a released crawl's documents are not those it counts": """
        select cr.id from crawl cr where cr.state = 'released' and cr.accepted <>
        (select count(*) from chunk c join document d on d.chunk_id = c.id where c.crawl_id = cr.id)
        """,
    "a crawl's rejects are not those it counts": """
        select cr.id from crawl cr where cr.state = 'released'
        and cr.rejected <> (select count(*) from reject r where r.crawl_id = cr.id)""",
    "a reject lacks its file, row or code": """
        select id from reject where file = '' or row_number < 1 or code = ''""",
    "a chunk's documents are not those it counts": """
        select c.id from chunk c join crawl cr on cr.id = c.crawl_id and cr.state = 'released'
        where c.n_documents <> (select count(*) from document d where d.chunk_id = c.id)""",
    "labels are not those that a scoring counts": """
        select s.chunk_id, s.version_id from scoring s where s.n_labelled <>
        (select count(*) from label l join document d on d.id = l.document_id
         where d.chunk_id = s.chunk_id and l.version_id = s.version_id)""",
    "daily counts are not those of the labels": """
        select chunk_id, version_id, day, label from (
            select d.chunk_id, l.version_id, l.label, l.document_id,
                cast(d.written_at at time zone 'Asia/Seoul' as date) as day
            from label l join document d on d.id = l.document_id) labelled
        full join (select * from scoring_daily) daily
            using (chunk_id, version_id, day, label)
        group by chunk_id, version_id, day, label
        having count(document_id) <> coalesce(max(n), 0)""",
    "a document is both labelled and failed by one version": """
        select document_id from label join document_failure using (document_id, version_id)""",
    "a done scoring has documents that are neither labelled nor failed": """
        select s.chunk_id from scoring s join chunk c on c.id = s.chunk_id
        where s.state in ('done', 'failed') and s.n_labelled + s.n_failed <> c.n_documents""",
    "a scoring was tried too often": f"""
        select chunk_id from scoring where tries > {MAX_CRASHES} or attempt < tries
        or attempt > tries + {ROUND_FAULTS}""",
    "a released chunk has no scoring of its wanted version": """
        select c.id from chunk c join crawl cr on cr.id = c.crawl_id and cr.state = 'released'
        left join scoring s on s.chunk_id = c.id and s.version_id = c.wanted_version_id
        where s.chunk_id is null""",
    "two versions are active": "select 1 from version where state = 'active' having count(*) > 1",
}

# These hold once faults have ended and the work is done.
AT_REST = {
    "a scoring is open": "select chunk_id, state, reason from scoring where state in"
    " ('pending', 'running')",
    "a scoring failed": "select chunk_id, tries, reason from scoring where state = 'failed'",
    "a crawl is half loaded": "select id from crawl where state <> 'released'",
    "a done chunk is not shown by its wanted version": """
        select id from chunk where current_version_id is distinct from wanted_version_id""",
    "an advisory lock is left": """
        select pid, classid from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()
        and classid <> 7006 and classid <> 7003""",
    "a transaction is idle": """
        select pid, query from pg_stat_activity where state like 'idle in transaction%'
        and now() - state_change > interval '2 s'""",
}

LABELS = """
select s.name, d.external_id, v.name, l.label::text from label l
join document d on d.id = l.document_id join version v on v.id = l.version_id
join source s on s.id = d.source_id
where d.id > %s order by d.id"""


def broken(connection: psycopg.Connection[Any], rules: dict[str, str]) -> list[str]:
    """The rules that do not hold, each with the first rows that break it."""
    found = []
    for rule, query in rules.items():
        rows = connection.execute(query + " limit 5").fetchall()
        if rows:
            found.append(f"{rule}: {rows}")
    return found


def wrong_labels(connection: psycopg.Connection[Any], ledger: Ledger, after: int = 0) -> list[str]:
    """Labels that are not the ledger's, and documents that no ledger has."""
    found = []
    for source, external_id, version, label in connection.execute(LABELS, (after,)):
        expected = ledger.expected.get((source, external_id), {}).get(version)
        if expected != label:
            found.append(f"{source} {external_id}: {version} says {label}, expected {expected}")
    return found[:5]


def lost(connection: psycopg.Connection[Any], ledger: Ledger) -> list[str]:
    """Ids of the ledger that are not there once, labelled as wanted, or failed as the poison is."""
    rows = connection.execute(
        "select s.name, d.external_id, count(l.document_id), count(f.document_id)"
        " from document d join source s on s.id = d.source_id join chunk c on c.id = d.chunk_id"
        " left join label l on l.document_id = d.id and l.version_id = c.wanted_version_id"
        " left join document_failure f on f.document_id = d.id"
        "  and f.version_id = c.wanted_version_id group by 1, 2"
    ).fetchall()
    outcome = {(source, external_id): (n, failed) for source, external_id, n, failed in rows}
    found = [f"{key} was never there" for key in ledger.expected.keys() - outcome.keys()]
    found += [f"{key} was never handed in" for key in outcome.keys() - ledger.expected.keys()]
    for key, counts in outcome.items():
        expected = (0, 1) if key in ledger.poisoned else (1, 0)
        if counts != expected:
            found.append(f"{key}: labels and failures {counts}, expected {expected}")
    return found[:5]


def miscounted(connection: psycopg.Connection[Any], ledger: Ledger) -> list[str]:
    """Files whose crawls do not count as many rows of each kind as were written into them.

    A file may have been handed in twice: then the second crawl counts duplicates.
    """
    found = []
    for file in ledger.files:
        crawls = connection.execute(
            "select c.read, c.accepted, c.duplicate, c.rejected from crawl c join source s"
            " on s.id = c.source_id where s.name = %s and c.state = 'released' order by c.id",
            (file.source,),
        ).fetchall()
        expected = [(file.read, file.accepted, file.duplicate, file.rejected)]
        expected += [(file.read, 0, file.read - file.rejected, file.rejected)] * (len(crawls) - 1)
        if crawls != expected:
            found.append(f"{file.source}: crawls count {crawls}, expected {expected}")
    return found[:5]


def queue_left(client: redis.Redis) -> list[str]:
    """Messages that wait though nothing is open."""
    depth = int(client.llen(SCORE_QUEUE))
    return [f"{depth} messages wait"] if depth else []


def ended_too_often(points: Path, late: int = 0) -> list[str]:
    """Scorings whose poison document ended more processes than it takes to find it."""
    counts = {path.name: path.stat().st_size for path in (points / "ends").iterdir()}
    return [
        f"chunk and version {name}: its poison document ended {count} processes"
        for name, count in counts.items()
        if count > MOST_ENDS + late
    ]
