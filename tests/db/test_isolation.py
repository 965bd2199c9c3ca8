"""What the end of an attempt leaves behind: tries, suspects, and nothing where it was wanted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from core.messages import ScoringKey
from db import isolation, scorings
from db.engine import Engine, transaction


class Attempts:
    """One attempt after another at the scoring of three documents."""

    def __init__(self, engine: Engine, key: ScoringKey) -> None:
        self.engine, self.key = engine, key
        with transaction(engine) as connection:
            self.ids = list(connection.scalars(text("select id from document order by id")))

    def end(self, how: Callable[[Connection, int], object], place: list[int] | None = None) -> None:
        """Claim, write a place down, end."""
        with transaction(self.engine) as connection:
            connection.execute(text("update scoring set next_try_at = now()"))
            attempt = scorings.claim(connection, self.key, "me")
            assert attempt is not None
            if place is not None:
                assert isolation.note_place(connection, self.key, attempt, "worker", place)
            how(connection, attempt)

    def row(self) -> str:
        with transaction(self.engine) as connection:
            return str(
                connection.scalar(
                    text("select state || ' ' || tries || ' ' || n_failed from scoring")
                )
            )

    def history(self) -> isolation.History:
        with transaction(self.engine) as connection:
            return isolation.read_history(connection, self.key)


@pytest.fixture
def attempts(engine: Engine, key: ScoringKey) -> Attempts:
    return Attempts(engine, key)


def _crash(connection: Connection, _attempt: int) -> None:
    assert scorings.return_held_by(connection, ["me"], ["worker"]) == 1


def _crash_with_worker(connection: Connection, _attempt: int) -> None:
    assert scorings.return_held_by(connection, ["me"], []) == 1


def test_ends_that_no_document_is_to_blame_for_fail_the_chunk_at_last(attempts: Attempts) -> None:
    for crash in range(1, scorings.MAX_CRASHES):
        attempts.end(_crash)
        assert attempts.row() == f"pending {crash} 0"
    attempts.end(_crash)
    assert attempts.row() == f"failed {scorings.MAX_CRASHES} 3"
    assert attempts.history().watched


def test_an_end_in_a_group_and_one_alone_fail_a_document(attempts: Attempts) -> None:
    attempts.end(_crash, attempts.ids)
    assert attempts.history() == isolation.History(True, frozenset(attempts.ids), {})
    attempts.end(_crash, attempts.ids[1:2])
    assert attempts.history().failed == {attempts.ids[1]: "the process ended"}
    assert attempts.history().suspects == {attempts.ids[0], attempts.ids[2]}
    assert attempts.row() == "pending 0 0"


def test_an_end_with_the_worker_or_unseen_weighs_less(attempts: Attempts) -> None:
    attempts.end(_crash_with_worker, attempts.ids[:1])

    def expire(connection: Connection, _attempt: int) -> None:
        connection.execute(text("update scoring set lease_until = now() - interval '1 s'"))
        assert scorings.return_expired(connection) == 1

    attempts.end(expire, attempts.ids[:1])
    assert attempts.history().failed == {}
    attempts.end(_crash_with_worker, attempts.ids[:1])
    assert set(attempts.history().failed) == {attempts.ids[0]}


def test_a_stop_an_error_and_a_service_that_is_away_make_no_suspects(attempts: Attempts) -> None:
    def stop(connection: Connection, _attempt: int) -> None:
        assert scorings.give_back_held_by(connection, ["me"], "stopped") == 1

    def away(connection: Connection, attempt: int) -> None:
        scorings.give_back(connection, attempts.key, attempt, "away", 0)

    def fail(connection: Connection, attempt: int) -> None:
        scorings.fail_try(connection, attempts.key, attempt, "it fails")

    for how in (stop, away, fail):
        attempts.end(how, attempts.ids)
    assert attempts.history() == isolation.History(False, frozenset(), {})
    attempts.end(_crash)  # no place: that of the attempt before is not its own
    assert attempts.history() == isolation.History(True, frozenset(), {})


def test_a_device_that_fails_costs_no_try_but_a_document_that_breaks_it_is_found(
    attempts: Attempts,
) -> None:
    def broken(connection: Connection, attempt: int) -> None:
        scorings.give_back_broken(connection, attempts.key, attempt, "no memory", 0)

    for _ in range(scorings.MAX_CRASHES + 1):
        attempts.end(broken)
    assert attempts.history() == isolation.History(True, frozenset(), {})
    for _ in range(isolation.FAILED_AT):
        attempts.end(broken, attempts.ids[:1])
    assert attempts.history().failed == {attempts.ids[0]: "no memory"}
    assert attempts.row() == "pending 0 0"


def test_a_retry_forgets_who_was_suspected(attempts: Attempts) -> None:
    attempts.end(_crash, attempts.ids)
    for _ in range(scorings.MAX_CRASHES):
        attempts.end(_crash)
    with transaction(attempts.engine) as connection:
        assert scorings.retry_failed(connection, None) == 1
    assert attempts.row() == "pending 0 0"
    assert attempts.history() == isolation.History(True, frozenset(), {})
