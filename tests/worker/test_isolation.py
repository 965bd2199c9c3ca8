"""Poison: documents that end the process that labels them, in real processes with a real model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from core.messages import ScoringKey
from db import isolation, rescoring, scorings, status, versions
from db.engine import Engine, transaction
from tests.acceptance.command import REPOSITORY, wait_until
from tests.crawls import load_files, posts, write_jsonl
from tests.tiny_version import build_tiny_version
from worker import leases

DOCUMENTS = 50
BALANCE = (
    "select n_labelled || ' ' || n_failed || ' ' || (select count(*) from label) || ' '"
    " || (select count(*) from document_failure) || ' '"
    " || (select coalesce(sum(n), 0) from scoring_daily)"
    " from scoring"
)


class Nursery:
    """The parent of the processes that score, and what they are to score."""

    def __init__(self, version: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.worker.nursery", str(version)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert self._read() == "ready"

    def begin(self, url: str, key: ScoringKey) -> psutil.Process:
        """Let a child begin. Returns it."""
        assert self._process.stdin
        order = {"database": url, "chunk": key.chunk_id, "version": key.version_id}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return psutil.Process(int(self._read().removeprefix("begun ")))

    def outcome(self) -> int:
        """How the last child ended."""
        return int(self._read())

    def end(self) -> None:
        for child in psutil.Process(self._process.pid).children():
            child.kill()
        self._process.kill()
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_version(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture(scope="module")
def shared_nursery(version: Path) -> Iterator[Nursery]:
    made = Nursery(version)
    yield made
    made.end()


class Chunk:
    """One chunk with words in the texts of some documents, and its way to its labels."""

    def __init__(self, engine: Engine, nursery: Nursery, url: str, key: ScoringKey) -> None:
        self.engine, self.nursery, self.url, self.key = engine, nursery, url, key
        self.crashes = 0

    def one(self, query: str) -> object:
        with transaction(self.engine) as connection:
            return connection.scalar(text(query))

    def work(self) -> Chunk:
        """Let one process after another work it, until its scoring has ended."""
        while self.state() not in ("done", "failed"):
            assert self.crashes < 12
            self.nursery.begin(self.url, self.key)
            self.give_back(self.nursery.outcome())
        return self

    def give_back(self, outcome: int) -> None:
        """What the worker does about a child that ended, without its delays."""
        if outcome:
            self.crashes += 1
            assert leases.return_dead_leases(self.engine) == 1
            self.due_now()

    def due_now(self) -> None:
        with transaction(self.engine) as connection:
            connection.execute(text("update scoring set next_try_at = now()"))

    def state(self) -> object:
        return self.one("select state from scoring")

    def balance(self) -> str:
        """Labelled and failed by the scoring; labels, failures and daily counts that are there."""
        return str(self.one(BALANCE))

    def failed(self) -> set[str]:
        with transaction(self.engine) as connection:
            rows = connection.scalars(
                text(
                    "select d.external_id from document_failure f"
                    " join document d on d.id = f.document_id"
                )
            )
            return set(rows)


MakeChunk = Callable[..., Chunk]


@pytest.fixture
def make_chunk(
    engine: Engine,
    database_url: str,
    active_version: int,
    shared_nursery: Nursery,
    tmp_path: Path,
) -> MakeChunk:
    def make(
        harm: dict[int, str], documents: int = DOCUMENTS, nursery: Nursery = shared_nursery
    ) -> Chunk:
        rows = posts(documents)
        for place, word in harm.items():
            rows[place]["text"] += f" {word}"
        load_files(engine, "blog", [write_jsonl(tmp_path / "crawl.jsonl", rows)])
        with transaction(engine) as connection:
            chunk_id = connection.scalars(text("select id from chunk")).one()
        return Chunk(engine, nursery, database_url, ScoringKey(chunk_id, active_version))

    return make


@pytest.mark.parametrize(
    ("place", "documents", "word"),
    [
        (0, DOCUMENTS, "독약"),
        (DOCUMENTS - 1, DOCUMENTS, "지뢰"),
        (17, DOCUMENTS, "독약"),
        (0, 1, "독약"),
    ],
)
def test_a_poison_costs_three_crashes_and_itself(
    make_chunk: MakeChunk, place: int, documents: int, word: str
) -> None:
    chunk = make_chunk({place: word}, documents).work()
    assert chunk.crashes == 3
    assert chunk.failed() == {f"post-{place}"}
    left = documents - 1
    assert chunk.balance() == f"{left} 1 {left} 1 {left}"
    assert chunk.one("select reason from document_failure") == "the process ended"
    assert chunk.one("select count(*) from suspect") == 0
    assert chunk.one("select count(*) from sentiment") == left
    with transaction(chunk.engine) as connection:
        (crawl,) = status.list_crawls(connection, 1)
    assert (crawl.accepted, crawl.labelled, crawl.failed) == (documents, left, 1)


def test_several_poisons_cost_two_crashes_each_and_nobody_else(make_chunk: MakeChunk) -> None:
    chunk = make_chunk({3: "독약", 5: "지뢰", 40: "독약"}).work()
    assert chunk.failed() == {"post-3", "post-5", "post-40"}
    assert chunk.balance() == "47 3 47 3 47"
    assert chunk.crashes <= 1 + 2 * 3
    assert chunk.one("select tries from scoring") == 1


def test_an_error_of_one_text_costs_no_crash_and_quotes_none_of_it(make_chunk: MakeChunk) -> None:
    chunk = make_chunk({0: "가시", 30: "가시"}).work()
    assert (chunk.crashes, chunk.one("select tries from scoring")) == (0, 0)
    assert chunk.failed() == {"post-0", "post-30"}
    assert chunk.balance() == "48 2 48 2 48"
    reason = str(chunk.one("select min(reason) from document_failure"))
    assert reason.startswith("ValueError at nursery.py:")


def test_errors_and_poisons_in_one_chunk_are_told_apart(make_chunk: MakeChunk) -> None:
    chunk = make_chunk({7: "가시", 8: "독약"}).work()
    assert chunk.crashes <= 3
    assert chunk.failed() == {"post-7", "post-8"}


def test_another_version_tries_what_failed(make_chunk: MakeChunk) -> None:
    """By a crash in every document but the last, and by the rescore of what is done."""
    chunk = make_chunk({2: "독약"}).work()
    assert chunk.one("select count(*) from sentiment") == DOCUMENTS - 1
    with transaction(chunk.engine) as connection:
        assert scorings.retry_failed(connection, None) == 0
        other = versions.register_version(
            connection, name="v2", store_path="v2", checksums={}, metrics={}
        )
        outcome = rescoring.rescore(connection, other, [chunk.key.chunk_id])
        assert outcome.to_label.documents == DOCUMENTS
        connection.execute(text("update document set text = replace(text, '독약', '')"))
    chunk.key = ScoringKey(chunk.key.chunk_id, other)
    chunk.nursery.begin(chunk.url, chunk.key)
    assert chunk.nursery.outcome() == 0
    assert chunk.one("select count(*) from sentiment where version = 'v2'") == DOCUMENTS
    assert chunk.one("select count(*) from document_failure") == 1  # of the version before
    assert chunk.one("select n_failed from scoring where version_id = " + str(other)) == 0


def _watched(make_chunk: MakeChunk, nursery: Nursery | None = None) -> tuple[Chunk, psutil.Process]:
    """A chunk with one document that its process is in the middle of, alone."""
    chunk = make_chunk({20: "늪"}, **({"nursery": nursery} if nursery else {}))
    for _ in range(2):
        child = chunk.nursery.begin(chunk.url, chunk.key)
        wait_until("it is worked", lambda: chunk.state() == "running")
        if chunk.one("select watched from scoring"):
            _wait_for_place(chunk, 2)
        child.kill()
        chunk.give_back(chunk.nursery.outcome())
    child = chunk.nursery.begin(chunk.url, chunk.key)
    _wait_for_place(chunk, 1)
    return chunk, child


def _wait_for_place(chunk: Chunk, least: int) -> None:
    query = "select state = 'running' and place @> array[(select id from document"
    query += f" where text like '%늪%')] and cardinality(place) >= {least} from scoring"
    wait_until("it is at the document", lambda: chunk.one(query) is True, every_s=0.02)


def test_a_worker_that_is_killed_with_its_child_blames_no_document_yet(
    make_chunk: MakeChunk, version: Path
) -> None:
    nursery = Nursery(version)
    try:
        chunk, child = _watched(make_chunk, nursery)
    finally:
        nursery.end()
    psutil.wait_procs([child], timeout=10)
    assert leases.return_dead_leases(chunk.engine) == 1
    assert chunk.one("select max(crashes) from suspect") == isolation.FAILED_AT - 1
    assert chunk.state() == "pending"


def test_who_was_overtaken_in_isolation_writes_nothing(make_chunk: MakeChunk) -> None:
    chunk, child = _watched(make_chunk)
    with transaction(chunk.engine) as connection:
        connection.execute(text("update scoring set lease_until = now() - interval '1 s'"))
        assert scorings.return_expired(connection) == 1
        connection.execute(text("update scoring set next_try_at = now()"))
        attempt = scorings.claim(connection, chunk.key, "another")
        assert attempt is not None
        assert isolation.note_place(connection, chunk.key, attempt, "worker", [7])
    child.send_signal(signal.SIGUSR1)  # it goes on
    assert chunk.nursery.outcome() == 1
    assert chunk.balance() == "0 0 0 0 0"
    assert chunk.one("select state || attempt from scoring") == f"running{attempt}"
    assert chunk.one("select place from scoring") == [7]
