"""The fenced transaction: all or nothing, and only for the attempt that holds the scoring."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from core.messages import ScoringKey
from db import documents, labels, scorings, versions
from db.engine import Engine, transaction
from tests.crawls import load_files, load_posts, write_jsonl


def _columns(document_ids: list[int], label: str = "positive") -> labels.LabelColumns:
    n = len(document_ids)
    return labels.LabelColumns(
        document_ids, [label] * n, [0.1] * n, [0.2] * n, [0.7] * n, [False] * n
    )


def _finish(engine: Engine, key: ScoringKey, attempt: int, label: str = "positive") -> bool:
    with transaction(engine) as connection:
        ids = documents.chunk_texts(connection, key.chunk_id).document_ids
        return labels.finish(
            connection, key, attempt, _columns(ids, label), timezone="Asia/Seoul", timings={}
        )


def _claim(engine: Engine, key: ScoringKey) -> int:
    with transaction(engine) as connection:
        attempt = scorings.claim(connection, key, "me")
    assert attempt is not None
    return attempt


def _count(engine: Engine, query: str) -> int:
    with transaction(engine) as connection:
        return int(connection.scalar(text(query)) or 0)


@pytest.fixture
def key(engine: Engine, active_version: int, tmp_path: Path) -> ScoringKey:
    load_posts(engine, tmp_path, 30)
    return ScoringKey(_count(engine, "select id from chunk"), active_version)


def test_labels_counts_and_state_come_together(engine: Engine, key: ScoringKey) -> None:
    assert _finish(engine, key, _claim(engine, key))
    assert _count(engine, "select count(*) from sentiment where label_ko = '긍정'") == 30
    assert _count(engine, "select sum(n) from sentiment_daily") == 30
    assert _count(engine, "select labelled from crawl_status where state = 'done'") == 30


def test_a_second_commit_of_the_same_attempt_changes_nothing(
    engine: Engine, key: ScoringKey
) -> None:
    attempt = _claim(engine, key)
    assert _finish(engine, key, attempt)
    assert not _finish(engine, key, attempt, "negative")
    assert _count(engine, "select count(*) from label where label = 'positive'") == 30


def test_a_worker_that_was_overtaken_writes_nothing(engine: Engine, key: ScoringKey) -> None:
    overtaken = _claim(engine, key)
    with transaction(engine) as connection:
        scorings.return_held_by(connection, ["me"])
        connection.execute(text("update scoring set next_try_at = now()"))
    present = _claim(engine, key)
    assert not _finish(engine, key, overtaken, "negative")
    assert _count(engine, "select count(*) from label") == 0
    assert _finish(engine, key, present)


def test_an_error_in_the_middle_leaves_the_scoring_running(engine: Engine, key: ScoringKey) -> None:
    attempt = _claim(engine, key)
    broken = _columns([1, 2, 3], "no such label")
    with pytest.raises(Exception, match="refused"), transaction(engine) as connection:
        labels.finish(connection, key, attempt, broken, timezone="Asia/Seoul", timings={})
    assert _count(engine, "select count(*) from scoring where state = 'running'") == 1
    assert _finish(engine, key, attempt)


def test_days_are_those_of_the_zone_and_unknown_times_are_of_no_day(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    rows = [
        {"id": "a", "date": "2026-11-01T23:30:00+00:00", "text": "밤에 쓴 글"},
        {"id": "b", "date": "2026-11-02 08:30", "text": "아침에 쓴 글"},
        {"id": "c", "date": None, "text": "언제 썼는지 모르는 글"},
    ]
    load_files(engine, "blog", [write_jsonl(tmp_path / "a.jsonl", rows)])
    key = ScoringKey(_count(engine, "select id from chunk"), active_version)
    _finish(engine, key, _claim(engine, key))
    with transaction(engine) as connection:
        days = connection.execute(
            text("select day::text, n from sentiment_daily order by day nulls last")
        ).all()
    assert [tuple(row) for row in days] == [("2026-11-02", 2), (None, 1)]


def test_a_late_scoring_of_another_version_changes_no_view(engine: Engine, key: ScoringKey) -> None:
    with transaction(engine) as connection:
        newer = versions.register_version(
            connection, name="v2", store_path="v2", checksums={}, metrics={}
        )
        connection.execute(
            text("insert into scoring (chunk_id, version_id) values (:chunk, :version)"),
            {"chunk": key.chunk_id, "version": newer},
        )
        connection.execute(text("update chunk set wanted_version_id = :id"), {"id": newer})
    new_key = ScoringKey(key.chunk_id, newer)
    assert _finish(engine, new_key, _claim(engine, new_key))
    assert _finish(engine, key, _claim(engine, key), "negative")
    assert _count(engine, "select count(*) from label") == 60
    assert _count(engine, "select count(*) from sentiment where version = 'v2'") == 30
    assert _count(engine, "select count(*) from sentiment") == 30
    assert _count(engine, "select sum(n) from sentiment_daily where label = 'positive'") == 30
