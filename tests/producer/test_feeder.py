from __future__ import annotations

from pathlib import Path

import pytest
import redis
from sqlalchemy import text

from cli.embedded import EmbeddedServers
from core.broker import Celery, connect, make_celery_app, queue_depth
from core.errors import BrokerError
from db import locks, scorings
from db.engine import Engine, session, transaction
from producer.feeder import RESCORES, WINDOW, feed
from tests.crawls import load_posts


def _depth(app: Celery) -> int:
    with connect(app) as connection:
        return queue_depth(connection)


@pytest.fixture
def crawls(engine: Engine, active_version: int, tmp_path: Path) -> int:
    """A few crawls of one chunk each; how many."""
    for n in range(1, 6):
        load_posts(engine, tmp_path, n, source=f"s{n}")
    return 5


def test_due_scorings_become_messages_once(engine: Engine, app: Celery, crawls: int) -> None:
    assert feed(engine, app) == crawls
    assert feed(engine, app) == 0
    assert _depth(app) == crawls


def test_an_emptied_redis_costs_a_tick(
    engine: Engine, app: Celery, crawls: int, servers: EmbeddedServers
) -> None:
    feed(engine, app)
    with redis.Redis(unix_socket_path=str(servers.redis_socket)) as client:
        client.flushall()
    assert feed(engine, app) == crawls


def test_the_window_bounds_what_redis_holds(
    engine: Engine, app: Celery, active_version: int, tmp_path: Path
) -> None:
    load_posts(engine, tmp_path, WINDOW + 20)
    with transaction(engine) as connection:
        # A chunk for each document, so that there are more scorings than the window holds.
        connection.execute(text("delete from scoring"))
        connection.execute(
            text(
                "with made as (insert into chunk (crawl_id, n_documents)"
                " select crawl_id, 1 from chunk, generate_series(1, :n) returning id)"
                " insert into scoring (chunk_id, version_id) select id, :version from made"
            ),
            {"n": WINDOW + 20, "version": active_version},
        )
    assert feed(engine, app) == WINDOW
    assert feed(engine, app) == 0


def test_a_new_crawl_waits_behind_no_window_of_rescores(
    engine: Engine, app: Celery, active_version: int, tmp_path: Path
) -> None:
    load_posts(engine, tmp_path, 1)
    with transaction(engine) as connection:
        connection.execute(
            text(
                "with made as (insert into chunk (crawl_id, n_documents)"
                " select crawl_id, 1 from chunk, generate_series(1, :n) returning id),"
                " old as (update scoring set precedence = 1)"
                " insert into scoring (chunk_id, version_id, precedence)"
                " select id, :version, 1 from made"
            ),
            {"n": WINDOW + 20, "version": active_version},
        )
    assert feed(engine, app) == RESCORES
    load_posts(engine, tmp_path, 1, source="new")
    assert feed(engine, app) == 1
    assert _depth(app) == RESCORES + 1


def test_only_one_feeds_at_a_time(engine: Engine, app: Celery, crawls: int) -> None:
    with session(engine) as other:
        assert locks.try_feed_lock(other)
        other.commit()
        assert feed(engine, app) == 0
        locks.release_feed_lock(other)
        other.commit()
    assert feed(engine, app) == crawls


def test_expired_leases_are_fed_again(engine: Engine, app: Celery, crawls: int) -> None:
    feed(engine, app)
    with transaction(engine) as connection:
        keys = scorings.due_to_publish(connection, WINDOW, 0)
        scorings.claim(connection, keys[0], "a worker that died elsewhere")
        connection.execute(
            text("update scoring set lease_until = now() - interval '1s' where state = 'running'")
        )
    feed(engine, app)
    with transaction(engine) as connection:
        assert connection.scalar(text("select count(*) from scoring where tries = 1")) == 0
    feed(engine, app, expire=True)
    with transaction(engine) as connection:
        states = connection.scalars(text("select distinct state from scoring")).all()
        reason = connection.scalar(text("select reason from scoring where tries = 1"))
    assert (list(states), reason) == (["pending"], "lease expired")


def test_an_unreachable_redis_loses_nothing(engine: Engine, app: Celery, crawls: int) -> None:
    away = make_celery_app("redis://127.0.0.1:1/0")
    with pytest.raises(BrokerError):
        feed(engine, away)
    assert feed(engine, app) == crawls
