from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from cli import upkeep
from core.broker import Celery, make_celery_app
from core.errors import BrokerError
from db import scorings
from db.engine import Engine, transaction
from tests.crawls import load_posts


def test_a_tick_returns_dead_leases_and_feeds(
    engine: Engine, app: Celery, active_version: int, tmp_path: Path
) -> None:
    load_posts(engine, tmp_path, 3)
    upkeep.tick(engine, app)
    with transaction(engine) as connection:
        assert connection.scalar(text("select published_at is not null from scoring")) is True
        (key,) = scorings.due_to_publish(connection, 1, 0)
        scorings.claim(connection, key, "elsewhere/boot/1/1/1.00")
    upkeep.tick(engine, app)
    with transaction(engine) as connection:
        assert connection.scalar(text("select state from scoring")) == "running"


def test_the_loop_outlives_a_service_that_is_away(
    engine: Engine, app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    outcomes: list[str] = []

    def tick(_engine: Engine, _app: Celery, *, expire: bool) -> None:
        outcomes.append("tried")
        if len(outcomes) < 3:
            raise BrokerError("Redis is away")
        stop.set()

    monkeypatch.setattr(upkeep, "TICK_S", 0.01)
    monkeypatch.setattr(upkeep, "tick", tick)
    upkeep.keep_up(engine, make_celery_app("redis://127.0.0.1:1/0"), stop)
    assert len(outcomes) == 3


def test_the_loop_does_not_outlive_a_fault_of_its_own(
    engine: Engine, app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tick(_engine: Engine, _app: Celery, *, expire: bool) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(upkeep, "TICK_S", 0.01)
    monkeypatch.setattr(upkeep, "tick", tick)
    with pytest.raises(ZeroDivisionError):
        upkeep.keep_up(engine, app, threading.Event())
