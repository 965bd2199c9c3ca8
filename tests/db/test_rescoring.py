"""Stored chunks labelled again, and a rollback: what the views show at each moment."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from cli.commands import rescore as command
from core.messages import ScoringKey
from db import documents, labels, locks, rescoring, scorings, status, versions
from db.crawls import find_source
from db.engine import Engine, session, transaction
from db.rescoring import Outcome, Scope, Share
from tests.crawls import load_files, load_posts, write_jsonl

DAILY_AGREES = """
select count(*) from (
    select source, cast(written_at at time zone 'Asia/Seoul' as date) as day, label, count(*) as n
    from sentiment group by 1, 2, 3
) counted
full join sentiment_daily d on d.source = counted.source
    and d.day is not distinct from counted.day and d.label = counted.label
where counted.n is distinct from d.n
"""


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
            n = len(ids)
            columns = labels.LabelColumns(
                ids, [label] * n, [0.1] * n, [0.2] * n, [0.7] * n, [False] * n
            )
            done = labels.finish(
                *(connection, ScoringKey(chunk, version), attempt, columns),
                timezone="Asia/Seoul",
                timings={},
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


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    return World(engine, tmp_path)


@pytest.fixture
def old(world: World) -> int:
    return world.version("old")


@pytest.fixture
def chunks(world: World, old: int) -> list[int]:
    """Three crawls of one chunk each, labelled by the old version."""
    made = [world.crawl("blog", 30), world.crawl("sns", 20), world.crawl("review", 10)]
    world.work("positive")
    return made


def _crawl_states(engine: Engine) -> list[tuple[str, int]]:
    with transaction(engine) as connection:
        return [(crawl.state, crawl.rescoring) for crawl in status.list_crawls(connection, 10)]


def test_views_move_chunk_by_chunk_and_crawls_stay_done(
    world: World, old: int, chunks: list[int]
) -> None:
    new = world.version("new")
    assert world.rescore(new) == Outcome(to_label=Share(3, 60))
    assert set(world.shown().values()) == {"old"}
    assert _crawl_states(world.engine) == [("done", 10), ("done", 20), ("done", 30)]
    for place, chunk in enumerate(chunks):
        assert list(world.shown().values()).count("new") == place
        attempt = world.claim(chunk, new)
        assert attempt is not None
        assert world.finish(chunk, new, attempt, "negative")
        assert world.shown()[chunk] == "new"
    assert _crawl_states(world.engine) == [("done", 0)] * 3
    assert world.scalar("select sum(n) from sentiment_daily where label = 'negative'") == 60
    # A rollback needs them.
    assert world.scalar("select count(*) from label where version_id = :old", old=old) == 60
    assert world.rescore(new) == Outcome(already=Share(3, 60))


def test_what_is_left_of_a_rescore_is_told_apart_from_crawls(
    world: World, old: int, chunks: list[int]
) -> None:
    new = world.version("new")
    world.rescore(new, chunks[:2])
    world.crawl("blog", 40)
    with transaction(world.engine) as connection:
        work = status.work_status(connection)
        assert (work.pending, work.documents_left) == (1, 10)  # 30 of the 40 are known
        assert status.source_work(connection, "blog").documents == 10
        assert status.source_work(connection, "sns").open_scorings == 0
        assert status.rescore_status(connection) == [status.RescoreStatus("new", 2, 50, 0)]
        assert rescoring.open_work(connection, new, chunks) == Share(2, 50)


def test_only_a_source(world: World, old: int, chunks: list[int]) -> None:
    with transaction(world.engine) as connection:
        source = find_source(connection, "sns")
        assert find_source(connection, "no such") is None
    matched = world.match(Scope(source))
    assert (matched.chunk_ids, matched.documents, matched.meant) == ([chunks[1]], 20, 20)


@pytest.mark.parametrize("labelled", [True, False])
def test_only_some_days(world: World, old: int, tmp_path: Path, labelled: bool) -> None:
    times = ["2026-11-01T15:30:00+00:00", "2026-11-02 08:30", "2026-11-09 12:00", None]
    rows = [{"id": f"{n}", "date": time, "text": f"글 {n}"} for n, time in enumerate(times)]
    load_files(world.engine, "blog", [write_jsonl(tmp_path / "a.jsonl", rows)])
    undated = [{"id": "x", "date": None, "text": "언제 썼는지 모르는 글"}]
    load_files(world.engine, "sns", [write_jsonl(tmp_path / "b.jsonl", undated)])
    if labelled:
        world.work()
        world.rescore(world.version("new"))
        world.work()  # a document counts once, whatever versions labelled it

    def meant(since: dt.date | None, until: dt.date | None) -> tuple[int, int, int]:
        found = world.match(Scope(None, since, until))
        return len(found.chunk_ids), found.documents, found.meant

    second = dt.date(2026, 11, 2)  # in Seoul, the first document is of that day too
    assert meant(second, second) == (1, 4, 2)
    assert meant(second, None) == (1, 4, 3)
    assert meant(None, second - dt.timedelta(1)) == (0, 0, 0)
    assert meant(None, None) == (2, 5, 5)


def test_a_crawl_that_is_being_loaded_is_left_alone(
    world: World, old: int, chunks: list[int]
) -> None:
    world.scalar("update crawl set state = 'loading' returning 1")
    assert world.match().chunk_ids == []


def test_broken_off_in_the_middle_it_goes_on(
    world: World, old: int, chunks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    new = world.version("new")
    monkeypatch.setattr(command, "BATCH_CHUNKS", 1)

    def killed(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        command.only_rescore(world.engine) as connection,
    ):
        command.label_again(connection, new, chunks, killed)
    assert world.scalar("select count(*) from scoring where version_id = :new", new=new) == 2
    attempt = world.claim(chunks[0], new)
    assert attempt is not None
    assert world.finish(chunks[0], new, attempt)
    with command.only_rescore(world.engine) as connection:
        outcome = command.label_again(connection, new, chunks)
    assert outcome == Outcome(Share(1, 10), under_way=Share(1, 20), already=Share(1, 30))
    world.work()
    assert set(world.shown().values()) == {"new"}


def test_new_crawls_are_labelled_first(world: World, old: int, chunks: list[int]) -> None:
    new = world.version("new")
    world.rescore(new)
    newest = world.crawl("news", 5)
    assert world.work() == [(chunk, new) for chunk in (newest, *chunks)]


def test_a_chunk_without_labels_waits_no_longer_for_a_rescore(
    world: World, old: int, chunks: list[int]
) -> None:
    waiting = world.crawl("news", 5)
    new = world.version("new", active=False)
    assert world.rescore(new).to_label == Share(4, 65)
    assert world.claim(waiting, old) is None  # dropped: one version is enough
    assert world.work()[0] == (waiting, new)


def test_what_is_being_labelled_is_shown_where_nothing_is_yet(
    world: World, old: int, chunks: list[int]
) -> None:
    running = world.crawl("news", 5)
    attempt = world.claim(running, old)
    assert attempt is not None
    new = world.version("new")
    world.rescore(new)
    assert world.finish(running, old, attempt)
    assert world.shown()[running] == "old"
    world.work("negative")
    assert set(world.shown().values()) == {"new"}


def test_a_late_scoring_of_the_old_version_changes_no_view(world: World, old: int) -> None:
    chunk = world.crawl("news", 5)
    attempt = world.claim(chunk, old)
    assert attempt is not None
    new = world.version("new")
    world.rescore(new)
    world.work("negative")
    assert world.finish(chunk, old, attempt, "positive")
    assert world.shown() == {chunk: "new"}


def test_labels_that_are_there_are_shown_at_once_and_the_other_work_is_dropped(
    world: World, old: int, chunks: list[int]
) -> None:
    new = world.version("new")
    world.rescore(new)
    attempt = world.claim(chunks[0], new)
    assert attempt is not None
    assert world.rescore(old) == Outcome(at_once=Share(3, 60))
    assert not world.finish(chunks[0], new, attempt)
    assert world.scalar("select count(*) from scoring where version_id = :new", new=new) == 0
    assert set(world.shown().values()) == {"old"}


def test_what_failed_keeps_its_labels_and_is_tried_again(
    world: World, old: int, chunks: list[int]
) -> None:
    new = world.version("new")
    world.rescore(new, chunks[:1])
    for _ in range(scorings.MAX_TRIES):
        world.scalar("update scoring set next_try_at = now() returning 1")
        attempt = world.claim(chunks[0], new)
        assert attempt is not None
        with transaction(world.engine) as connection:
            scorings.fail_try(connection, ScoringKey(chunks[0], new), attempt, "it fails")
    assert world.shown()[chunks[0]] == "old"
    with transaction(world.engine) as connection:
        assert status.rescore_status(connection) == [status.RescoreStatus("new", 0, 0, 30)]
        assert rescoring.ended_work(connection, new, chunks).failed == 30
        assert rescoring.ended_work(connection, new, chunks).reason == "it fails"
        assert status.work_status(connection).failed == 0
    assert _crawl_states(world.engine)[-1] == ("done", 30)
    assert world.rescore(new, chunks[:1]) == Outcome(to_label=Share(1, 30))
    assert world.scalar("select tries from scoring where version_id = :new", new=new) == 0
    world.work()
    assert world.shown()[chunks[0]] == "new"


def test_what_nobody_wants_any_more_is_not_retried(
    world: World, old: int, chunks: list[int]
) -> None:
    new = world.version("new")
    world.rescore(new, chunks[:1])
    world.scalar("update scoring set state = 'failed' where version_id = :new returning 1", new=new)
    world.rescore(old)
    with transaction(world.engine) as connection:
        assert scorings.retry_failed(connection, None) == 0
        assert status.rescore_status(connection) == []


def test_a_rollback_shows_the_labels_of_before_at_once(
    world: World, old: int, chunks: list[int]
) -> None:
    bad = world.version("bad")
    world.rescore(bad)
    for chunk in chunks[:2]:
        attempt = world.claim(chunk, bad)
        assert attempt is not None
        if chunk == chunks[0]:
            world.finish(chunk, bad, attempt, "negative")
    assert world.roll_back() == Outcome(at_once=Share(3, 60))
    assert set(world.shown().values()) == {"old"}
    assert not world.finish(chunks[1], bad, 1, "negative")
    assert world.work() == []
    with transaction(world.engine) as connection:
        active = versions.active_version(connection)
    assert active is not None
    assert active.name == "old"


def test_a_rollback_labels_what_the_old_version_never_saw(
    world: World, old: int, chunks: list[int]
) -> None:
    bad = world.version("bad")
    labelled = world.crawl("news", 5)
    world.work("negative")
    running, pending = world.crawl("radio", 4), world.crawl("tv", 3)
    attempt = world.claim(running, bad)
    assert attempt is not None
    assert world.roll_back() == Outcome(to_label=Share(3, 12))
    # No label of the bad version comes up any more; the one that is there stays until it is mended.
    assert not world.finish(running, bad, attempt, "negative")
    assert world.shown()[labelled] == "bad"
    assert world.work() == [(running, old), (pending, old), (labelled, old)]
    assert set(world.shown().values()) == {"old"}


def test_a_rollback_goes_back_to_labels_older_than_the_good_version(world: World) -> None:
    """History that the good version never labelled is not labelled for the sake of a rollback."""
    world.version("first")
    oldest = world.crawl("blog", 30)
    world.work()
    world.version("good")
    later = world.crawl("sns", 20)
    world.work()
    bad = world.version("bad")
    world.rescore(bad)
    world.work("negative")
    assert world.roll_back() == Outcome(at_once=Share(2, 50))
    assert world.shown() == {oldest: "first", later: "good"}


def test_a_second_rollback_goes_further_back_and_never_to_what_was_left(world: World) -> None:
    first = world.version("first")
    world.version("second")
    world.version("third")
    chunk = world.crawl("blog", 5)
    world.work()
    world.roll_back()
    world.work()
    assert world.shown() == {chunk: "second"}
    assert world.roll_back() == Outcome(to_label=Share(1, 5))
    assert world.work() == [(chunk, first)]
    with transaction(world.engine) as connection:
        assert versions.previous_version(connection) is None


def test_rescore_rollback_and_rescore_again(world: World, old: int, chunks: list[int]) -> None:
    new = world.version("new")
    world.rescore(new)
    world.work("negative")
    assert world.roll_back() == Outcome(at_once=Share(3, 60))
    assert world.rescore(new) == Outcome(at_once=Share(3, 60))
    assert set(world.shown().values()) == {"new"}
    assert world.scalar("select count(*) from label") == 120


def test_nothing_of_a_rollback_is_seen_before_all_of_it(
    world: World, old: int, chunks: list[int]
) -> None:
    bad = world.version("bad")
    world.rescore(bad)
    world.work("negative")
    with transaction(world.engine) as connection:
        versions.activate_version(connection, old, who="me")
        rescoring.roll_back(connection, bad, old)
        assert set(world.shown().values()) == {"bad"}
        world.check()
        # Nor is anything published that may be gone in a moment.
        with session(world.engine) as other:
            assert not locks.try_feed_lock(other)
    assert set(world.shown().values()) == {"old"}


def test_a_crawl_released_during_a_rollback_is_not_overlooked(
    world: World, old: int, chunks: list[int]
) -> None:
    bad = world.version("bad")
    loaded = threading.Thread(target=load_posts, args=(world.engine, world.tmp_path, 7, "news"))
    with transaction(world.engine) as connection:
        versions.activate_version(connection, old, who="me")
        loaded.start()
        _wait_for_lock(world)
        rescoring.roll_back(connection, bad, old)
    loaded.join(timeout=30)
    assert world.scalar("select count(*) from chunk where wanted_version_id = :bad", bad=bad) == 0
    assert world.work() == [(max(chunks) + 1, old)]


def _wait_for_lock(world: World) -> None:
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=20)
    while not world.scalar(waiting):
        assert dt.datetime.now(dt.UTC) < deadline, "the release never waited"


def test_a_finish_that_meets_a_rollback_waits_and_writes_nothing(
    world: World, old: int, chunks: list[int]
) -> None:
    bad = world.version("bad")
    world.rescore(bad)
    attempt = world.claim(chunks[0], bad)
    assert attempt is not None
    outcome: list[bool] = []
    late = threading.Thread(
        target=lambda: outcome.append(world.finish(chunks[0], bad, attempt, "negative"))
    )
    with transaction(world.engine) as connection:
        versions.activate_version(connection, old, who="me")
        rescoring.roll_back(connection, bad, old)
        late.start()
        _wait_for_lock(world)
    late.join(timeout=30)
    assert outcome == [False]
    assert set(world.shown().values()) == {"old"}


def test_two_cannot_say_at_once_what_is_wanted(world: World, old: int) -> None:
    with (
        command.only_rescore(world.engine),
        pytest.raises(command.ServiceError, match="try again after it"),
        command.only_rescore(world.engine),
    ):
        pass
    with command.only_rescore(world.engine):
        pass
