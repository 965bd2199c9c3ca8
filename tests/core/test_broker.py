from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import redis

from cli.embedded import EmbeddedServers
from core.broker import Celery, connect, live_workers, make_celery_app, publish, queue_depth
from core.errors import BrokerError, InputError
from core.messages import SCORE_QUEUE, SCORE_TASK, ScoringKey


def test_messages_hold_ids_only_and_are_counted(app: Celery, servers: EmbeddedServers) -> None:
    with connect(app) as connection:
        assert queue_depth(connection) == 0
        publish(app, connection, [ScoringKey(7, 2), ScoringKey(8, 2)])
        assert queue_depth(connection) == 2
    with redis.Redis(unix_socket_path=str(servers.redis_socket)) as client:
        message = json.loads(client.lrange(SCORE_QUEUE, -1, -1)[0])
    assert message["headers"]["task"] == SCORE_TASK
    assert message["content-type"] == "application/json"


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis://:hunter2@127.0.0.1:1/0"])
def test_an_unreachable_redis_is_one_line_soon(url: str) -> None:
    app = make_celery_app(url)
    started = time.monotonic()
    with pytest.raises(BrokerError, match="NIFOS_BROKER_URL") as caught, connect(app):
        pass
    assert time.monotonic() - started < 15
    assert "(Connection refused)" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nobody_answers_where_no_worker_is(app: Celery) -> None:
    assert live_workers(app, timeout_s=0.2) == []


def test_tls_is_verified(tmp_path: Path) -> None:
    app = make_celery_app("rediss://localhost:6380/0")
    assert app.conf.broker_use_ssl["ssl_cert_reqs"].name == "CERT_REQUIRED"


@pytest.mark.parametrize(
    "url", ["foo://x", "redis://host:abc/0", "redis://host/notint", "localhost:6379", ""]
)
def test_a_url_that_is_none_of_redis_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="NIFOS_BROKER_URL"):
        make_celery_app(url)
