"""The judge judges: whatever is lost, doubled, wrong or left behind is found."""

from __future__ import annotations

import re
import time
from pathlib import Path
from random import Random

import psycopg
import pytest
import redis

from cli.embedded import EmbeddedServers
from core.broker import Celery, connect, publish
from core.messages import ScoringKey
from db.engine import Engine
from tests.chaos import invariants
from tests.chaos.ledger import Ledger
from tests.chaos.logs import TRACEBACK, tracebacks
from tests.chaos.points import Points
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
        (f"delete from document where id = {ONE}", "a released crawl's documents are not those"),
        # Two rules that constraints keep too, so that they have to go first.
        (
            "alter table crawl drop constraint crawl_rows_add_up; update crawl set read = read + 1",
            "a crawl's rows do not add up",
        ),
        (
            "drop index version_one_active; insert into version (name, store_path, checksums,"
            " metrics, state) select 'v2', 'v2', checksums, metrics, state from version",
            "two versions are active",
        ),
        ("update scoring set n_labelled = n_labelled - 1", "neither labelled nor failed"),
        ("update scoring set state = 'failed'", "a scoring failed"),
        ("update crawl set state = 'loading'", "a crawl is half loaded"),
        ("update scoring set attempt = 43, tries = 2", "a scoring was tried too often"),
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


def test_a_document_that_nobody_handed_in_is_found(
    connection: psycopg.Connection, ledger: Ledger
) -> None:
    key = next(iter(ledger.expected))
    del ledger.expected[key]
    assert f"{key} was never handed in" in judge(connection, ledger)


def test_a_poison_that_got_a_label_is_found(connection: psycopg.Connection, ledger: Ledger) -> None:
    key = next(iter(ledger.expected))
    ledger.poisoned.add(key)
    assert f"{key}: labels and failures (1, 0), expected (0, 1)" in judge(connection, ledger)


def test_a_failure_of_what_is_no_poison_is_found(
    connection: psycopg.Connection, ledger: Ledger
) -> None:
    connection.execute(
        "with gone as (delete from label where document_id = (select min(document_id) from label)"
        " returning document_id, version_id)"
        " insert into document_failure (document_id, version_id, reason)"
        " select document_id, version_id, 'x' from gone"
    )
    assert any("(0, 1), expected (1, 0)" in words for words in judge(connection, ledger))


def test_a_poison_that_ends_a_fourth_process_is_found(tmp_path: Path) -> None:
    points = Points(tmp_path)
    points.key = (7, 1)
    (tmp_path / "ends").mkdir()
    for _ in range(invariants.MOST_ENDS):
        points.ended_by_poison()
    assert invariants.ended_too_often(tmp_path) == []
    points.ended_by_poison()
    assert len(invariants.ended_too_often(tmp_path)) == 1


def test_a_lock_that_is_left_is_found(
    connection: psycopg.Connection, ledger: Ledger, database_url: str
) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("select pg_advisory_lock(7002, 1)")
        assert any("an advisory lock is left" in words for words in judge(connection, ledger))


def test_an_idle_transaction_is_found(
    connection: psycopg.Connection, ledger: Ledger, database_url: str
) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("select 1")
        deadline = time.monotonic() + 20
        while not any("a transaction is idle" in words for words in judge(connection, ledger)):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_message_that_is_left_is_found(app: Celery, servers: EmbeddedServers) -> None:
    client = redis.Redis(unix_socket_path=str(servers.redis_socket))
    assert invariants.queue_left(client) == []
    with connect(app) as broker:
        publish(app, broker, [ScoringKey(1, 1)])
    assert invariants.queue_left(client) == ["1 messages wait"]


def test_every_rule_is_broken_by_a_test() -> None:
    words = Path(__file__).read_text(encoding="utf-8")
    tried = {each for each in re.findall(r'"([^"\n]+)"', words) if len(each) > 10}
    rules = (*invariants.NEVER, *invariants.AT_REST)
    assert [rule for rule in rules if not any(each in rule for each in tried)] == []


def test_a_traceback_is_found_and_what_a_library_says_of_a_dead_parent_is_not() -> None:
    where = '  File "worker/score.py", line 1, in score\n    x\n'
    theirs = '  File "billiard/connection.py", line 1, in _send\n    x\n'
    between = "2026-11-28T19:15:57 [info     ] another process\n"
    head = f"{TRACEBACK}:\n"
    assert tracebacks(head + where + between + "KeyError: 1\n")
    assert tracebacks(head + theirs + "BrokenPipeError: [Errno 32] Broken pipe\n") == []
    assert tracebacks(head + where + "BrokenPipeError: [Errno 32] Broken pipe\n")
    assert tracebacks(between) == []
