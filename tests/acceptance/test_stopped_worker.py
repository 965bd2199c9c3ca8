"""A worker that is stopped, not dead: it takes what it never works, and is no sign of health."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import psycopg
import pytest
import redis

from cli.embedded import EmbeddedServers
from core.broker import Celery, connect, live_workers, make_celery_app, publish
from core.messages import SCORE_QUEUE
from db.engine import make_engine, transaction
from db.locks import FEED
from db.scorings import due_to_publish
from tests.acceptance.command import Nifos, wait_until

pytestmark = pytest.mark.slow

CRAWL = ("examples/crawl.jsonl", "--source", "demo", "--json")
DOCUMENTS = 60


@pytest.fixture
def home(nifos: Nifos) -> Iterator[EmbeddedServers]:
    """Servers that outlive the worker."""
    with EmbeddedServers(nifos.home) as servers:
        yield servers


@pytest.fixture
def app(home: EmbeddedServers) -> Iterator[Celery]:
    made = make_celery_app(home.broker_url)
    yield made
    made.close()


@pytest.fixture
def worker(nifos: Nifos, app: Celery) -> subprocess.Popen[str]:
    """One that is up and has nothing to do."""
    return _start_worker(nifos, app)


def _start_worker(nifos: Nifos, app: Celery) -> subprocess.Popen[str]:
    worker = nifos.start("worker")

    def answers() -> bool:
        assert worker.poll() is None, worker.communicate()
        return any(f"nifos-{worker.pid}@" in name for name in live_workers(app))

    wait_until("the worker answers", answers)
    return worker


def test_a_message_that_a_stopped_worker_took_is_sent_again(
    nifos: Nifos, home: EmbeddedServers, app: Celery, worker: subprocess.Popen[str]
) -> None:
    """Nobody claimed its scoring, so that no lease runs out: only the feeder can tell."""
    with _fed_by_nobody(home):
        assert nifos.json("enqueue", *CRAWL)["accepted"] == DOCUMENTS
        family = _stop_with_message(worker, home, app)
    assert nifos.sees("select state || attempt from scoring") == "pending0"
    for process in family:
        process.kill()
    psutil.wait_procs(family[1:], timeout=10)
    assert worker.wait(timeout=10) == -signal.SIGKILL
    assert nifos.sees("select state || attempt from scoring") == "pending0"
    _start_worker(nifos, app)
    wait_until("all is labelled", lambda: nifos.sees("select count(*) from label") == DOCUMENTS)
    wait_until("it is done", lambda: nifos.sees("select state from scoring") == "done")
    nifos.check_complete(DOCUMENTS)
    assert nifos.sees("select tries from scoring") == 0


def test_a_worker_that_answers_and_labels_nothing_is_not_well(
    nifos: Nifos, worker: subprocess.Popen[str], app: Celery, home: EmbeddedServers
) -> None:
    assert nifos.json("check", "--json")["healthy"]
    for child in psutil.Process(worker.pid).children(recursive=True):
        child.suspend()
    nifos.json("enqueue", *CRAWL)
    assert nifos("check").returncode == 0  # it may still begin
    with psycopg.connect(home.database_url, autocommit=True) as connection:
        connection.execute("update scoring set waiting_since = now() - interval '20 minutes'")
    assert live_workers(app)
    done = nifos("check", "--json")
    assert done.returncode == 1, done.stderr
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem["what"] in ("still", "taking")
    assert "20 minutes" in problem["words"]


@contextmanager
def _fed_by_nobody(home: EmbeddedServers) -> Iterator[None]:
    """Hold the right to feed: what is enqueued waits for its message."""
    with psycopg.connect(home.database_url, autocommit=True) as holder:

        def taken() -> bool:
            row = holder.execute("select pg_try_advisory_lock(%s, 0)", (FEED,)).fetchone()
            return row == (True,)

        wait_until("nobody feeds", taken, every_s=0.05)
        yield


def _stop_with_message(
    worker: subprocess.Popen[str], home: EmbeddedServers, app: Celery
) -> list[psutil.Process]:
    """Suspend a worker and its children while Redis owes it a message, and send that.

    It asks for a second at a time. What is sent within it goes to the one who asked, stopped or
    not, and is in no list any more.
    """
    parent = psutil.Process(worker.pid)
    family = [parent, *parent.children(recursive=True)]
    engine = make_engine(home.database_url)
    with transaction(engine) as connection:
        keys = due_to_publish(connection, window=1, depth=0)
    engine.dispose()

    def gone() -> bool:
        for process in family:
            process.suspend()
        if client.info("clients")["blocked_clients"]:
            publish(app, broker, keys)
            if not client.llen(SCORE_QUEUE):
                return True
            client.delete(SCORE_QUEUE)  # the second was over
        for process in family:
            process.resume()
        return False

    with connect(app) as broker, redis.Redis(unix_socket_path=str(home.redis_socket)) as client:
        publish(app, broker, [])
        wait_until("the stopped worker is handed the message", gone, every_s=0.05)
    return family
