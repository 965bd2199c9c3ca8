"""Whatever lies in the queue, nothing of it is run, and the worker goes on with what is its own."""

from __future__ import annotations

import base64
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from cli.embedded import EmbeddedServers
from core.messages import RETRAIN_TASK, SCORE_QUEUE, SCORE_TASK
from db.engine import Engine
from sentiment.store import Store
from tests.acceptance.command import Nifos, wait_until
from tests.harmful import Harmful
from tests.published import publish_version
from tests.tiny_version import build_tiny_version

pytestmark = pytest.mark.slow


@pytest.fixture
def nifos(engine: Engine, database_url: str, broker_url: str, tmp_path: Path) -> Iterator[Nifos]:
    command = Nifos(
        tmp_path / "home",
        NIFOS_DATABASE_URL=database_url,
        NIFOS_BROKER_URL=broker_url,
        NIFOS_DEVICE="cpu",
        NIFOS_WORKER_PROCESSES="1",
    )
    made = build_tiny_version(tmp_path / "tiny")
    publish_version(engine, Store(str(command.home / "models"), tmp_path / "cache"), made, "tiny")
    yield command
    command.end()


def _envelope(body: bytes, content_type: str, **headers: object) -> str:
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-type": content_type,
            "content-encoding": "utf-8",
            "headers": {"lang": "py", "task": SCORE_TASK, "id": uuid4().hex, **headers},
            "properties": {
                "body_encoding": "base64",
                "delivery_tag": uuid4().hex,
                "delivery_info": {"exchange": SCORE_QUEUE, "routing_key": SCORE_QUEUE},
                "correlation_id": uuid4().hex,
                "reply_to": uuid4().hex,
                "delivery_mode": 2,
                "priority": 0,
            },
        }
    )


def _ids(chunk_id: object, version_id: object = 1) -> str:
    body = [[], {"chunk_id": chunk_id, "version_id": version_id}, {}]
    return _envelope(json.dumps(body).encode(), "application/json")


TIMES = ("eta", "expires")


def _hostile(harm: Path) -> list[str]:
    pickled = pickle.dumps([[], {"chunk_id": Harmful(harm), "version_id": 1}, {}])
    named = {"task": RETRAIN_TASK}
    return [
        _envelope(pickled, "application/x-python-serialize"),
        _envelope(pickled, "application/json"),
        _envelope(b"!!python/object/apply:os.abort []", "application/x-yaml"),
        _envelope(b"[[], {}, {}]", "application/json", **named),
        _envelope(b"[[], {}, {}]", "application/json", task="os.system"),
        _envelope(b"[[1, 2, 3], {}, {}]", "application/json"),
        _envelope(b"not json", "application/json"),
        *(_envelope(b"[[], {}, {}]", "application/json", **{name: "x"}) for name in TIMES),
        _envelope(b'[[], {"chunk_id": NaN, "version_id": Infinity}, {}]', "application/json"),
        *map(_ids, (2**63, -1, 0, True, "1", [1], {"a": 1}, None, 1.5, "1; drop table label")),
        _envelope(b"[" * 100_000, "application/json"),
    ]


def _changed(**fields: object) -> str:
    return json.dumps(json.loads(_ids(1)) | fields)


NO_MESSAGES = [
    b"no json",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b"[1, 2]",
    b"7",
    b"null",
    b"{}",
    b'{"__type__": "uuid", "__value__": 1}',
    _changed(properties=None),
    _changed(properties={"delivery_tag": "\ud800"}),
    _changed(body="no base64"),
    _changed(body=None),
    _changed(headers=[]),
]
NO_TASKS = [
    _changed(headers={"id": "x", "task": [SCORE_TASK]}),
    _changed(headers={"id": "x", "task": SCORE_TASK, "eta": [1]}),
    _changed(headers={"id": "x", "task": SCORE_TASK, "compression": "x"}),
    _changed(headers={"id": "x", "task": SCORE_TASK, "timelimit": [1]}),
]
BROADCASTS = "/0.celery.pidbox"


def test_hostile_messages_are_refused_one_by_one(
    nifos: Nifos, servers: EmbeddedServers, tmp_path: Path
) -> None:
    harm = tmp_path / "harm"
    hostile = _hostile(harm)
    with redis.Redis(unix_socket_path=str(servers.redis_socket)) as client:
        client.lpush(SCORE_QUEUE, *hostile, *NO_MESSAGES, *NO_TASKS)
        service = nifos.start("worker")
        wait_until(
            "all are taken", lambda: client.llen(SCORE_QUEUE) == 0 or service.poll() is not None
        )
        assert service.poll() is None, service.communicate()[1][-2_000:]
        heard = [client.publish(BROADCASTS, each) for each in NO_MESSAGES]
        assert set(heard) == {1}, heard  # by the worker
        done = nifos("enqueue", "examples/crawl.jsonl", "--source", "demo")
        assert done.returncode == 0, done.stderr
        wait_until(
            "labels",
            lambda: nifos.scalar("select count(*) from label") == 60 or service.poll() is not None,
        )
        assert service.poll() is None, service.communicate()[1][-2_000:]
    service.terminate()
    _out, err = service.communicate(timeout=60)
    assert service.returncode == 0, err
    assert not harm.exists()
    # One line says what a child labels by, and why.
    (chosen,) = [line for line in err.splitlines() if "engine_chosen" in line]
    assert re.search(r"engine=torch .*precision=\w+ .*version=\w+ why=\S", chosen), chosen
    assert err.count("message_refused") == 11, err  # by their ids
    assert err.count("message_dropped") == len(NO_MESSAGES + NO_TASKS) + len(NO_MESSAGES), err
    assert "no json" not in err
