"""What was measured of chunks, in SQL: the view, and the last minutes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from core.messages import ScoringKey
from db import documents, labels, scorings
from db.engine import Engine, transaction
from db.query import read_only
from db.speed import STEPS, recent_speed
from tests.crawls import load_posts
from tests.scored import label_columns

TIMINGS = {
    "read_s": 0.1,
    "predict_s": 1.7,
    "prepare_s": 0.1,
    "tokenize_s": 0.3,
    "compute_s": 1.2,
    "documents": 30,
    "texts": 28,
    "tokens": 600,
    "padded_tokens": 800,
}


def _label(engine: Engine, tmp_path: Path, version: int, measured: labels.Measured) -> None:
    with transaction(engine) as connection:
        crawls = connection.scalar(text("select count(*) from crawl"))
    load_posts(engine, tmp_path, 30, source=f"blog-{crawls}")
    with transaction(engine) as connection:
        key = ScoringKey(connection.scalar(text("select max(id) from chunk")) or 0, version)
        attempt = scorings.claim(connection, key, "host/boot/1/2/3")
        assert attempt
    with transaction(engine) as connection:
        ids = documents.chunk_texts(connection, key.chunk_id).document_ids
        assert labels.finish(
            *(connection, key, attempt, label_columns(ids, "neutral")),
            timezone="Asia/Seoul",
            measured=measured,
        )


def test_a_slow_night_can_be_explained_in_sql(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    _label(engine, tmp_path, active_version, labels.Measured(TIMINGS, "torch", "bf16"))
    query = (
        "select machine, engine, precision, documents, texts, padding_share, write_s > 0 as wrote,"
        " abs(documents_per_s * (1.8 + write_s) - 30) < 0.1 as right_rate,"
        " abs(tokens_per_s * (1.8 + write_s) - 600) < 1 as right_tokens"
        " from scoring_speed"
    )
    with read_only(engine, query, timezone="Asia/Seoul") as result:
        assert list(result.rows) == [
            ("host", "torch", "bf16", 30, 28, pytest.approx(0.25), True, True, True)
        ]


def test_the_last_minutes_are_told_by_engine(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    _label(engine, tmp_path, active_version, labels.Measured(TIMINGS, "torch", "bf16"))
    _label(engine, tmp_path, active_version, labels.Measured(TIMINGS, "torch", "bf16"))
    with transaction(engine) as connection:
        connection.execute(
            text(
                "update scoring set started_at = now() - interval '40 s',"
                " finished_at = now() - interval '30 s'"  # idle since then: that does not count
            )
        )
        (speed,) = recent_speed(connection)
    assert (speed.engine, speed.precision, speed.chunks) == ("torch", "bf16", 2)
    assert speed.documents == 60
    assert speed.documents_per_s == pytest.approx(6)
    assert speed.tokens_per_s == pytest.approx(120)
    assert speed.padding_share == pytest.approx(0.25)
    assert sum(speed.time_share.values()) == pytest.approx(1, abs=0.001)
    assert speed.time_share["compute"] > 0.5
    assert set(speed.time_share) == {*STEPS, "other"}


def test_chunks_of_an_older_program_and_of_an_older_hour_do_no_harm(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    old = {"read_s": 0.1, "predict_s": 1.7}
    _label(engine, tmp_path, active_version, labels.Measured(old))
    with transaction(engine) as connection:
        connection.execute(text("update scoring set timings = timings - 'write_s'"))
        (speed,) = recent_speed(connection)
        assert (speed.engine, speed.padding_share, speed.tokens_per_s) == (None, None, 0)
        connection.execute(text("update scoring set timings = null"))
        assert len(recent_speed(connection)) == 1
        connection.execute(text("update scoring set finished_at = now() - interval '1 hour'"))
        assert recent_speed(connection) == []
