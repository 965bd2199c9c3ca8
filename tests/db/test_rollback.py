"""Back to the version before: what is shown at once, what is labelled again, what is dropped."""

from __future__ import annotations

import datetime as dt
import threading

from db import locks, rescoring, versions
from db.engine import session, transaction
from db.rescoring import Outcome, Share
from tests.crawls import load_posts
from tests.scored import World


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
