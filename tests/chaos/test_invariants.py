"""The judge judges: whatever is lost, doubled, wrong or left behind is found."""

from __future__ import annotations

from pathlib import Path
from random import Random

import psycopg
import pytest

from db.engine import Engine
from tests.chaos import invariants
from tests.chaos.ledger import Ledger
from tests.crawls import load_files
from tests.scored import World

VERSION = "v1"


@pytest.fixture
def ledger(engine: Engine, tmp_path: Path) -> Ledger:
    """Of a crawl that was labelled, each document as the ledger says."""
    ledger = Ledger(tmp_path, (VERSION,))
    world = World(engine, tmp_path)
    version = world.version(VERSION)
    crawl = ledger.write_crawl(Random(1), 120)
    load_files(engine, crawl.source, [crawl.path])
    chunk = int(world.scalar("select max(id) from chunk"))
    attempt = world.claim(chunk, version)
    assert attempt is not None
    world.finish(chunk, version, attempt)
    return ledger


@pytest.fixture
def connection(engine: Engine, database_url: str, ledger: Ledger) -> psycopg.Connection:
    with psycopg.connect(database_url, autocommit=True) as made:
        for (source, external_id), labels in ledger.expected.items():
            made.execute(
                "update label set label = %s::sentiment_label from document d join source s"
                " on s.id = d.source_id where d.id = label.document_id and s.name = %s"
                " and d.external_id = %s",
                (labels[VERSION], source, external_id),
            )
        made.execute("delete from scoring_daily")
        made.execute(
            "insert into scoring_daily (chunk_id, version_id, source_id, day, label, n)"
            " select d.chunk_id, l.version_id, d.source_id,"
            "  cast(d.written_at at time zone 'Asia/Seoul' as date) as day, l.label, count(*)"
            " from label l join document d on d.id = l.document_id group by 1, 2, 3, 4, 5"
        )
        yield made


def judge(connection: psycopg.Connection, ledger: Ledger) -> list[str]:
    return (
        invariants.broken(connection, invariants.NEVER)
        + invariants.broken(connection, invariants.AT_REST)
        + invariants.wrong_labels(connection, ledger)
        + invariants.lost(connection, ledger)
        + invariants.miscounted(connection, ledger)
    )


def test_what_is_right_is_found_right(connection: psycopg.Connection, ledger: Ledger) -> None:
    assert judge(connection, ledger) == []


ONE = "(select min(document_id) from label)"


@pytest.mark.parametrize(
    ("breach", "found"),
    [
        (f"delete from label where document_id = {ONE}", "labels are not those that a scoring"),
        (f"delete from document where id = {ONE}", "a chunk's documents are not those it counts"),
        (
            "update label set label = case label when 'neutral' then 'positive' else 'neutral'"
            f" end::sentiment_label where document_id = {ONE}",
            "v1 says",
        ),
        ("update scoring_daily set n = n + 1", "daily counts"),
        ("delete from scoring_daily", "daily counts"),
        ("delete from reject where id = (select min(id) from reject)", "a crawl's rejects"),
        ("update reject set code = ''", "a reject lacks"),
        ("update crawl set read = read + 1, duplicate = duplicate + 1", "expected"),
        ("update scoring set state = 'pending'", "a scoring is open"),
        ("update scoring set attempt = 90, tries = 80", "a scoring was tried too often"),
        ("update chunk set current_version_id = null", "not shown by its wanted version"),
        ("delete from scoring", "has no scoring"),
        (
            "insert into document_failure (document_id, version_id, reason)"
            f" select {ONE}, id, 'x' from version",
            "both labelled and failed",
        ),
    ],
)
def test_what_is_wrong_is_found(
    connection: psycopg.Connection, ledger: Ledger, breach: str, found: str
) -> None:
    connection.execute(breach)
    assert any(found in words for words in judge(connection, ledger)), judge(connection, ledger)


def test_a_document_that_never_came_is_found(
    connection: psycopg.Connection, ledger: Ledger
) -> None:
    ledger.expected["source-0", "lost"] = {VERSION: "neutral"}
    assert "('source-0', 'lost') was never there" in judge(connection, ledger)


def test_a_lock_and_an_idle_transaction_are_found(
    connection: psycopg.Connection, ledger: Ledger, database_url: str
) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("select pg_advisory_lock(7002, 1)")
        assert any("an advisory lock is left" in words for words in judge(connection, ledger))
