"""A database with versions and crawls, and a worker that says what a test tells it to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import text

from core.messages import ScoringKey
from db import documents, labels, rescoring, scorings, versions
from db.engine import Engine, transaction
from db.rescoring import Outcome, Scope
from sentiment.labels import LABEL_NAMES
from tests.crawls import load_posts

DAILY_AGREES = """
select count(*) from (
    select source, cast(written_at at time zone 'Asia/Seoul' as date) as day, label, count(*) as n
    from sentiment group by 1, 2, 3
) counted
full join sentiment_daily d on d.source = counted.source
    and d.day is not distinct from counted.day and d.label = counted.label
where counted.n is distinct from d.n
"""


def label_columns(document_ids: Sequence[int], label: str) -> labels.LabelColumns:
    """The same label for every document, 0.7 sure."""
    n, place = len(document_ids), LABEL_NAMES.index(label)
    probabilities = np.full((n, 3), 0.15, np.float32)
    probabilities[:, place] = 0.7
    return labels.LabelColumns(
        document_ids, np.full(n, place, np.int8), probabilities, np.zeros(n, np.bool_)
    )


class World:
    """A database with versions and crawls, and a worker that says what it is told to."""

    def __init__(self, engine: Engine, tmp_path: Path) -> None:
        self.engine = engine
        self.tmp_path = tmp_path

    def version(self, name: str, *, active: bool = True) -> int:
        with transaction(self.engine) as connection:
            made = versions.register_version(
                connection, name=name, store_path=name, checksums={}, metrics={}
            )
            if active:
                versions.activate_version(connection, made)
        return made

    def crawl(self, source: str, count: int = 30) -> int:
        """Load a crawl of one chunk, by the active version. Returns the chunk."""
        load_posts(self.engine, self.tmp_path, count, source=source)
        return int(self.scalar("select max(id) from chunk"))

    def scalar(self, query: str, **values: object) -> int:
        with transaction(self.engine) as connection:
            return connection.scalar(text(query), values)  # type: ignore[no-any-return]

    def claim(self, chunk: int, version: int) -> int | None:
        with transaction(self.engine) as connection:
            return scorings.claim(connection, ScoringKey(chunk, version), "me")

    def finish(self, chunk: int, version: int, attempt: int, label: str = "positive") -> bool:
        with transaction(self.engine) as connection:
            ids = documents.chunk_texts(connection, chunk).document_ids
            columns = label_columns(ids, label)
            done = labels.finish(
                *(connection, ScoringKey(chunk, version), attempt, columns),
                timezone="Asia/Seoul",
                measured=labels.Measured(),
            )
        self.check()
        return done

    def work(self, label: str = "positive") -> list[tuple[int, int]]:
        """Label all that is due, one message at a time. Returns (chunk, version) in that order."""
        worked = []
        while True:
            with transaction(self.engine) as connection:
                due = scorings.due_to_publish(connection, 1, 0)
            if not due:
                return worked
            key = due[0]
            attempt = self.claim(key.chunk_id, key.version_id)
            assert attempt is not None
            assert self.finish(key.chunk_id, key.version_id, attempt, label)
            worked.append((key.chunk_id, key.version_id))

    def match(self, scope: Scope | None = None) -> rescoring.Matched:
        with transaction(self.engine) as connection:
            return rescoring.match_chunks(connection, scope or Scope(), timezone="Asia/Seoul")

    def rescore(self, version: int, chunks: Sequence[int] | None = None) -> Outcome:
        chosen = self.match().chunk_ids if chunks is None else chunks
        with transaction(self.engine) as connection:
            outcome = rescoring.rescore(connection, version, chosen)
        self.check()
        return outcome

    def roll_back(self) -> Outcome:
        with transaction(self.engine) as connection:
            bad, good = versions.active_version(connection), versions.previous_version(connection)
            assert bad
            assert good
            versions.activate_version(connection, good.id, who="me", why="test")
            outcome = rescoring.roll_back(connection, bad.id, good.id)
        self.check()
        return outcome

    def shown(self) -> dict[int, str]:
        """Which version each chunk shows, by name; a chunk that shows nothing is not there."""
        with transaction(self.engine) as connection:
            rows = connection.execute(
                text(
                    "select d.chunk_id, string_agg(distinct s.version, '+') as version"
                    " from sentiment s join document d on d.id = s.document_id group by 1"
                )
            ).all()
        return {row.chunk_id: row.version for row in rows}

    def check(self) -> None:
        """Daily counts are those of the labels that are shown; a document has one at most."""
        assert self.scalar(DAILY_AGREES) == 0
        assert self.scalar("select count(*) - count(distinct document_id) from sentiment") == 0
