from __future__ import annotations

from sqlalchemy import text

from core.messages import ScoringKey
from db import scorings
from db.engine import Engine, transaction
from db.health import Movement, read_movement


def _read(engine: Engine, changes: str = "") -> Movement:
    with transaction(engine) as connection:
        if changes:
            connection.execute(text(changes))
        return read_movement(connection)


def test_an_empty_database_has_nothing_that_could_move(engine: Engine) -> None:
    found = _read(engine)
    assert (found.pending, found.still_s, found.due_s, found.longest_s) == (0, None, None, 0.0)


def test_work_is_still_since_it_was_asked_for_or_since_the_last_end(
    engine: Engine, key: ScoringKey
) -> None:
    ago = "now() - interval '{} minutes'"
    found = _read(
        engine,
        f"update scoring set waiting_since = {ago.format(20)}, next_try_at = {ago.format(15)}",
    )
    assert found.still_s is not None
    assert found.due_s is not None
    assert 1199 < found.still_s < 1260
    assert 899 < found.due_s < 960
    # Another chunk of another crawl ended five minutes ago, after ten of work.
    found = _read(
        engine,
        "with cr as (insert into crawl (source_id) select id from source returning id),"
        " ch as (insert into chunk (crawl_id, n_documents) select id, 1 from cr returning id)"
        " insert into scoring (chunk_id, version_id, state, started_at, finished_at)"
        f" select id, {key.version_id}, 'done', {ago.format(15)}, {ago.format(5)} from ch",
    )
    assert found.still_s is not None
    assert 299 < found.still_s < 360
    assert 599 < found.longest_s < 601


def test_expired_watched_and_failed_are_counted_with_their_reasons(
    engine: Engine, key: ScoringKey
) -> None:
    with transaction(engine) as connection:
        assert scorings.claim(connection, key, "me") == 1
    assert _read(engine).claimed_s is not None
    expire = "update scoring set lease_until = now() - interval '2 minutes'"
    assert (_read(engine, expire).expired, _read(engine).running) == (1, 1)
    with transaction(engine) as connection:
        scorings.return_expired(connection)
    found = _read(engine)
    assert (found.expired, found.watched, found.reason) == (0, 1, "lease expired")
    found = _read(engine, "update scoring set state = 'failed', finished_at = now()")
    assert (found.failed, found.failed_reason, found.still_s) == (1, "lease expired", None)
