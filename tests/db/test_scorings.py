"""The life of a scoring, statement by statement, on a real PostgreSQL."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import text

from core.messages import ScoringKey
from db import scorings, status
from db.engine import Engine, transaction
from tests.crawls import load_posts


def _expire(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text("update scoring set lease_until = now() - interval '1 second'"))


def _due_now(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text("update scoring set next_try_at = now()"))


def _row(engine: Engine) -> dict[str, object]:
    with transaction(engine) as connection:
        return dict(connection.execute(text("select * from scoring")).one()._mapping)


def test_a_pending_scoring_is_claimed_once(engine: Engine, key: ScoringKey) -> None:
    with transaction(engine) as connection:
        assert scorings.claim(connection, key, "me") == 1
    with transaction(engine) as connection:
        assert scorings.claim(connection, key, "you") is None


def test_two_claims_at_the_same_time_do_not_wait_for_each_other(
    engine: Engine, key: ScoringKey
) -> None:
    with transaction(engine) as one:
        assert scorings.claim(one, key, "me") == 1
        with transaction(engine) as two:
            assert scorings.claim(two, key, "you") is None


def test_a_message_about_nothing_is_nothing(engine: Engine, key: ScoringKey) -> None:
    with transaction(engine) as connection:
        assert scorings.claim(connection, ScoringKey(key.chunk_id + 99, 1), "me") is None


def test_an_expired_lease_costs_a_try_and_the_old_holder_cannot_renew(
    engine: Engine, key: ScoringKey
) -> None:
    with transaction(engine) as connection:
        first = scorings.claim(connection, key, "me")
        assert first is not None
    _expire(engine)
    with transaction(engine) as connection:
        assert scorings.return_expired(connection) == 1
        assert not scorings.renew_lease(connection, key, first)
    _due_now(engine)
    with transaction(engine) as connection:
        assert scorings.claim(connection, key, "you") == 2
    assert _row(engine)["tries"] == 1


def test_a_living_lease_is_not_returned(engine: Engine, key: ScoringKey) -> None:
    with transaction(engine) as connection:
        scorings.claim(connection, key, "me")
        assert scorings.return_expired(connection) == 0
        assert scorings.return_held_by(connection, ["you"]) == 0
        assert scorings.return_held_by(connection, ["me"]) == 1


def test_a_sweep_passes_over_what_is_being_changed_and_comes_again(
    engine: Engine, key: ScoringKey, tmp_path: Path
) -> None:
    load_posts(engine, tmp_path, 3, source="another")
    with transaction(engine) as connection:
        (other,) = set(scorings.due_to_publish(connection, window=2, depth=0)) - {key}
        attempt = scorings.claim(connection, key, "me")
        assert attempt is not None
        assert scorings.claim(connection, other, "you") == 1
    _expire(engine)
    with transaction(engine) as late, transaction(engine) as sweep:
        assert scorings.renew_lease(late, key, attempt)  # as the fence would do it
        sweep.execute(text("set local lock_timeout = '2s'"))
        assert scorings.return_held_by(sweep, ["me"]) == 0
        assert scorings.return_expired(sweep) == 1
    with transaction(engine) as connection:
        assert scorings.read_state(connection, key) == scorings.ScoringState("running", attempt)
        assert scorings.read_state(connection, other) == scorings.ScoringState("pending", 1)
        assert scorings.return_held_by(connection, ["me"]) == 1


def test_an_attempt_s_own_end_waits_for_who_changes_the_scoring(
    engine: Engine, key: ScoringKey
) -> None:
    with transaction(engine) as connection:
        attempt = scorings.claim(connection, key, "me")
        assert attempt is not None

    def fail() -> None:
        with transaction(engine) as connection:
            scorings.fail_try(connection, key, attempt, "it fails")

    failing = threading.Thread(target=fail)
    with transaction(engine) as connection:
        assert scorings.renew_lease(connection, key, attempt)
        failing.start()
        with transaction(engine) as looking:
            while not looking.scalar(text("select true from pg_locks where not granted limit 1")):
                assert failing.is_alive()
    failing.join()
    assert (_row(engine)["state"], _row(engine)["tries"]) == ("pending", 1)


def test_tries_are_used_up_by_the_chunk_and_never_by_a_service(
    engine: Engine, key: ScoringKey
) -> None:
    for _ in range(5):
        with transaction(engine) as connection:
            attempt = scorings.claim(connection, key, "me")
            assert attempt is not None
            scorings.give_back(connection, key, attempt, "the store is away", delay_s=0)
    assert _row(engine)["tries"] == 0
    for _ in range(scorings.MAX_TRIES):
        _due_now(engine)
        with transaction(engine) as connection:
            attempt = scorings.claim(connection, key, "me")
            assert attempt is not None
            scorings.fail_try(connection, key, attempt, "it fails")
    row = _row(engine)
    assert (row["state"], row["n_failed"], row["reason"]) == ("failed", 3, "it fails")
    assert row["attempt"] == 5 + scorings.MAX_TRIES
    with transaction(engine) as connection:
        outcome = status.list_crawls(connection, 1)[0]
        assert (outcome.state, outcome.labelled, outcome.failed) == ("failed", 0, 3)
        assert scorings.retry_failed(connection, outcome.crawl + 1) == 0
        assert scorings.retry_failed(connection, outcome.crawl) == 1
    assert (_row(engine)["state"], _row(engine)["n_failed"]) == ("pending", 0)


def test_what_the_queue_lacks_is_published(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    for n in range(1, 6):
        load_posts(engine, tmp_path, n, source=f"s{n}")
    with transaction(engine) as connection:
        first = scorings.due_to_publish(connection, window=3, depth=0)
        assert [key.chunk_id for key in first] == sorted(key.chunk_id for key in first)
        assert len(first) == 3
        # The window is full: nothing more, however much is due.
        assert scorings.due_to_publish(connection, window=3, depth=3) == []
    with transaction(engine) as connection:
        for key in first[:2]:
            assert scorings.claim(connection, key, "me")
        later = scorings.due_to_publish(connection, window=3, depth=1)
        assert len(later) == 2
        assert not set(later) & set(first)
    with transaction(engine) as connection:
        # Redis came back empty: what was published before is published again.
        assert set(scorings.due_to_publish(connection, window=3, depth=0)) == {first[2], *later}


def test_new_crawls_go_before_rescores(engine: Engine, active_version: int, tmp_path: Path) -> None:
    load_posts(engine, tmp_path, 2, source="old")
    with transaction(engine) as connection:
        connection.execute(text("update scoring set precedence = 1"))
    load_posts(engine, tmp_path, 3, source="new")
    with transaction(engine) as connection:
        (key,) = scorings.due_to_publish(connection, window=1, depth=0)
        newest = connection.scalar(text("select max(id) from chunk"))
    assert key.chunk_id == newest


def test_a_stop_on_purpose_costs_no_try(engine: Engine, key: ScoringKey) -> None:
    with transaction(engine) as connection:
        scorings.claim(connection, key, "me")
        assert scorings.give_back_held_by(connection, ["you"], "stopped") == 0
        assert scorings.give_back_held_by(connection, ["me"], "stopped") == 1
        assert scorings.claim(connection, key, "you") == 2
    assert _row(engine)["tries"] == 0


def test_a_rescore_is_passed_over_while_a_new_crawl_is_due(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    """Its message was sent before the crawl came."""
    load_posts(engine, tmp_path, 2, source="old")
    with transaction(engine) as connection:
        connection.execute(text("update scoring set precedence = 1"))
        (old,) = scorings.due_to_publish(connection, window=1, depth=0)
    load_posts(engine, tmp_path, 3, source="new")
    with transaction(engine) as connection:
        assert scorings.claim(connection, old, "me") is None
        (new,) = scorings.due_to_publish(connection, window=1, depth=0)
        assert new.chunk_id != old.chunk_id
        connection.execute(
            text("update scoring set next_try_at = now() + interval '1h' where precedence = 0")
        )
        assert scorings.claim(connection, old, "me") == 1  # what is not due keeps nothing back
        # Nor does what is being worked, and the message that was dropped is sent again.
        scorings.give_back(connection, old, 1, "the store is away", delay_s=0)
        connection.execute(text("update scoring set next_try_at = now()"))
        assert scorings.claim(connection, new, "you") == 1
        assert scorings.due_to_publish(connection, window=64, depth=0) == [old]
        assert scorings.claim(connection, old, "me") == 2
