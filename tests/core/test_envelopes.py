from __future__ import annotations

import base64
import json
from typing import Any
from uuid import uuid4

import pytest
import redis

from cli.embedded import EmbeddedServers
from core.broker import TASK_TIME_LIMIT_S, Celery, connect, publish
from core.envelopes import CheckedTransport, is_envelope, is_task
from core.messages import SCORE_QUEUE, SCORE_TASK, ScoringKey


@pytest.fixture
def ours(app: Celery, servers: EmbeddedServers) -> bytes:
    """What we put there ourselves."""
    with connect(app) as connection:
        assert isinstance(connection.transport, CheckedTransport)
        publish(app, connection, [ScoringKey(7, 2)])
    with redis.Redis(unix_socket_path=str(servers.redis_socket)) as client:
        return bytes(client.lindex(SCORE_QUEUE, 0))


def test_ours_are_tasks(ours: bytes) -> None:
    assert is_envelope(ours)
    assert is_task(ours)


def test_so_are_those_of_who_knows_the_task(
    app: Celery, servers: EmbeddedServers, ours: bytes
) -> None:
    """A worker that feeds sends its time limit, a producer none."""

    def score(chunk_id: int, version_id: int) -> None: ...

    if SCORE_TASK not in app.tasks:  # another test of this process may have brought in the real one
        app.task(name=SCORE_TASK)(score)
    with connect(app) as connection:
        publish(app, connection, [ScoringKey(8, 2)])
    with redis.Redis(unix_socket_path=str(servers.redis_socket)) as client:
        sent = client.lindex(SCORE_QUEUE, 0)
    assert json.loads(sent)["headers"]["timelimit"] == [TASK_TIME_LIMIT_S, None]
    assert is_task(sent)


def test_what_is_no_envelope_is_seen(ours: bytes) -> None:
    whole = json.loads(ours)
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    for field, value in {
        "body": "no base64",
        "headers": [],
        "properties": {},
        "content-type": ["application/json"],
        "content-encoding": 7,
        "x": deep,
    }.items():
        assert not is_envelope(json.dumps(whole | {field: value})), field
    for name, value in {"delivery_tag": "\ud800", "delivery_info": [], "body_encoding": 1}.items():
        properties = whole["properties"] | {name: value}
        assert not is_envelope(json.dumps(whole | {"properties": properties})), name
    for raw in (b"", b"no json", b"\xff", b"[]", b"null", b"7", b"[" * 100_000, None):
        assert not is_envelope(raw), raw


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task", ["x"]),
        ("id", None),
        ("eta", [1]),
        ("timelimit", [1]),
        ("timelimit", ["a", 1]),
        ("compression", "x"),
    ],
)
def test_what_steers_celery_is_no_task_of_ours(ours: bytes, name: str, value: object) -> None:
    whole = json.loads(ours)
    whole["headers"][name] = value
    assert is_envelope(json.dumps(whole))
    assert not is_task(json.dumps(whole))


def test_a_consumer_skips_what_is_no_message(
    app: Celery, servers: EmbeddedServers, ours: bytes
) -> None:
    taken: list[Any] = []
    bad = json.dumps(json.loads(ours) | {"body": base64.b64encode(uuid4().bytes).decode()[:-1]})
    with redis.Redis(unix_socket_path=str(servers.redis_socket)) as client:
        client.rpush(SCORE_QUEUE, b"no json", b"[1]", bad)
    queue = app.amqp.queues[SCORE_QUEUE]
    with connect(app) as typed:
        connection: Any = typed
        with connection.Consumer(queue, callbacks=[lambda _body, message: taken.append(message)]):
            while not taken:
                connection.drain_events(timeout=5)
        taken[0].ack()
    assert len(taken) == 1
