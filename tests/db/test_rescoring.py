"""Stored chunks labelled again by another version: what the views show at each moment."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from cli.commands import rescore as command
from core.messages import ScoringKey
from db import rescoring, scorings, status
from db.crawls import find_source
from db.engine import Engine, transaction
from db.rescoring import Outcome, Scope, Share
from tests.crawls import load_files, write_jsonl
from tests.scored import World


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


def test_two_cannot_say_at_once_what_is_wanted(world: World, old: int) -> None:
    with (
        command.only_rescore(world.engine),
        pytest.raises(command.ServiceError, match="try again after it"),
        command.only_rescore(world.engine),
    ):
        pass
    with command.only_rescore(world.engine):
        pass
