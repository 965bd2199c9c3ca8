"""Who waits for PostgreSQL does not wait for ever, and who holds the right to feed not either."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from cli.embedded import EmbeddedServers
from cli.embedded_postgres import SOCKET_NAME
from core.errors import DatabaseError
from db import locks
from db.engine import Engine, make_engine, session, transaction
from db.silence import wait_however_long
from tests.acceptance.command import wait_until
from tests.chaos.proxy import Proxy

ANSWER_S = 6.0  # of which the server takes five from its own limit


@pytest.fixture
def proxy(servers: EmbeddedServers) -> Iterator[Proxy]:
    with Proxy(servers.redis_socket.parent / SOCKET_NAME) as running:
        yield running


@pytest.fixture
def bounded(proxy: Proxy, database_url: str) -> Iterator[Engine]:
    name = urlsplit(database_url).path
    assert parse_qs(urlsplit(database_url).query)
    made = make_engine(f"postgresql://postgres@127.0.0.1:{proxy.port}{name}", answer_s=ANSWER_S)
    yield made
    made.dispose()


def test_a_server_that_falls_silent_is_given_up(proxy: Proxy, bounded: Engine) -> None:
    def ask() -> None:
        with transaction(bounded) as connection:
            connection.execute(text("select 1"))
            proxy.silence_all()
            connection.execute(text("select 2"))

    began = time.monotonic()
    with pytest.raises(DatabaseError):
        ask()
    assert ANSWER_S <= time.monotonic() - began < ANSWER_S * 2
    with transaction(bounded) as connection:
        assert connection.scalar(text("select 3")) == 3


def test_the_server_ends_a_long_statement_first(bounded: Engine) -> None:
    began = time.monotonic()
    with pytest.raises(DatabaseError, match="57014"), transaction(bounded) as connection:
        connection.execute(text("select pg_sleep(30)"))
    assert time.monotonic() - began < ANSWER_S


def test_a_long_statement_is_waited_for_in_its_transaction(bounded: Engine) -> None:
    with session(bounded) as connection:
        wait_however_long(connection)
        connection.execute(text("select pg_sleep(:s)"), {"s": ANSWER_S + 1})
        connection.commit()
        assert connection.scalar(text("show statement_timeout")) == "1s"
        assert connection.connection.driver_connection.answer_s == ANSWER_S


def test_who_falls_silent_with_the_right_to_feed_loses_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "FEED_IDLE_S", 1)

    def another_may() -> bool:
        with session(engine) as other:
            may = locks.try_feed_lock(other)
            if may:
                locks.release_feed_lock(other)
            return may

    with session(engine) as silent:
        assert locks.try_feed_lock(silent)
        silent.commit()
        assert not another_may()
        wait_until("the server ends the silent session", another_may, deadline_s=20)
        silent.invalidate()


def test_who_gave_the_right_to_feed_back_may_be_idle(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "FEED_IDLE_S", 1)
    with session(engine) as connection:
        assert locks.try_feed_lock(connection)
        connection.commit()
        locks.release_feed_lock(connection)
        connection.commit()
        assert connection.scalar(text("show idle_session_timeout")) == "0"
