"""The fenced transaction: all or nothing, and only for the attempt that holds the scoring."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from core.errors import NifosError
from core.messages import ScoringKey
from db import documents, labels, scorings, versions
from db.engine import Engine, transaction
from sentiment.labels import LABELS
from tests.crawls import load_files, load_posts, write_jsonl
from tests.scored import label_columns

MEASURED = labels.Measured({"read_s": 0.5, "tokens": 900}, engine="torch", precision="bf16")


def _finish(engine: Engine, key: ScoringKey, attempt: int, label: str = "positive") -> bool:
    with transaction(engine) as connection:
        ids = documents.chunk_texts(connection, key.chunk_id).document_ids
        return labels.finish(
            *(connection, key, attempt, label_columns(ids, label)),
            timezone="Asia/Seoul",
            measured=MEASURED,
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
    broken = replace(label_columns([1, 2, 3], "positive"), label_ids=np.full(3, 9, np.int8))
    with pytest.raises(NifosError, match="refused"), transaction(engine) as connection:
        labels.finish(connection, key, attempt, broken, timezone="Asia/Seoul", measured=MEASURED)
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


def test_what_was_measured_is_kept_with_the_scoring(engine: Engine, key: ScoringKey) -> None:
    assert _finish(engine, key, _claim(engine, key))
    with transaction(engine) as connection:
        row = connection.execute(
            text("select engine, precision, machine, timings from scoring")
        ).one()
    assert (row.engine, row.precision, row.machine) == ("torch", "bf16", "me")
    assert row.timings["read_s"] == 0.5
    assert 0 < row.timings["write_s"] < 10


def test_labels_are_written_as_the_classifier_numbers_them(engine: Engine) -> None:
    with transaction(engine) as connection:
        names = connection.scalar(text("select enum_range(null::sentiment_label)::text[]"))
    assert names == [label.name for label in sorted(LABELS, key=lambda label: label.id)]


def test_a_document_of_another_chunk_is_refused(
    engine: Engine, key: ScoringKey, tmp_path: Path
) -> None:
    attempt = _claim(engine, key)
    load_posts(engine, tmp_path, 5, source="other")
    columns = label_columns([_count(engine, "select max(id) from document")], "positive")
    with pytest.raises(NifosError, match="not of it"), transaction(engine) as connection:
        labels.finish(connection, key, attempt, columns, timezone="Asia/Seoul", measured=MEASURED)
    assert _count(engine, "select count(*) from label") == 0


@pytest.mark.parametrize(
    ("document", "version", "constraint"),
    [
        ("999999", "(select max(id) from version)", "label_document_fk"),
        ("(select max(id) from document)", "999999", "label_version_fk"),
    ],
)
def test_a_label_needs_its_document_and_its_version(
    engine: Engine, key: ScoringKey, document: str, version: str, constraint: str
) -> None:
    assert _finish(engine, key, _claim(engine, key))
    insert = (
        "insert into label (document_id, version_id, label, p_negative, p_neutral, p_positive,"
        f" windowed) values ({document}, {version}, 'neutral', 0, 1, 0, false)"
    )
    update = (
        f"update label set document_id = {document}, version_id = {version}"
        " where document_id = (select min(document_id) from label)"
    )
    for statement in (insert, update):
        with pytest.raises(NifosError, match=constraint), transaction(engine) as connection:
            connection.execute(text(statement))


def test_labels_go_with_their_documents(engine: Engine, key: ScoringKey) -> None:
    assert _finish(engine, key, _claim(engine, key))
    with transaction(engine) as connection:
        connection.execute(text("delete from document where id = (select min(id) from document)"))
    assert _count(engine, "select count(*) from label") == 29
    with transaction(engine) as connection:
        connection.execute(text("delete from crawl"))
    assert _count(engine, "select count(*) from label") == 0


def test_a_version_that_has_labels_cannot_be_deleted(engine: Engine, key: ScoringKey) -> None:
    assert _finish(engine, key, _claim(engine, key))
    with transaction(engine) as connection:  # only the labels are left to hold it
        connection.execute(
            text("update chunk set wanted_version_id = null, current_version_id = null")
        )
        connection.execute(text("delete from scoring"))
        connection.execute(text("delete from activation"))
    with (
        pytest.raises(NifosError, match="label_version_fk"),
        transaction(engine) as connection,
    ):
        connection.execute(text("delete from version"))


def test_a_crawl_that_is_deleted_waits_for_labels_that_are_being_written(
    engine: Engine, key: ScoringKey
) -> None:
    attempt = _claim(engine, key)
    deleted = threading.Event()

    def delete() -> None:
        with transaction(engine) as connection:
            connection.execute(text("delete from crawl"))
        deleted.set()

    deleting = threading.Thread(target=delete)
    with transaction(engine) as connection:
        ids = documents.chunk_texts(connection, key.chunk_id).document_ids
        labels.finish(
            *(connection, key, attempt, label_columns(ids, "neutral")),
            timezone="Asia/Seoul",
            measured=MEASURED,
        )
        deleting.start()
        waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        deadline = time.monotonic() + 10
        while not _count(engine, waiting):
            assert time.monotonic() < deadline
        assert not deleted.is_set()
    deleting.join(10)
    assert deleted.is_set()
    assert _count(engine, "select count(*) from label") == 0
    assert _count(engine, "select count(*) from document") == 0
