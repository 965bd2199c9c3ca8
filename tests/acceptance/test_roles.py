"""The whole route as it is deployed: a user a service, least rights, passwords, verified TLS."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import pytest

from db.engine import make_engine
from sentiment.store import Store
from tests.acceptance.command import Nifos, wait_until
from tests.deployed import Deployed, deployed, passwords
from tests.labelled import write_labelled
from tests.nights import write_night
from tests.published import publish_version
from tests.tiny_version import build_tiny_version

QUICKLY = ("--base", "starter", "--epochs", "1")

pytestmark = pytest.mark.slow


@pytest.fixture
def servers_of_all(tmp_path: Path) -> Iterator[Deployed]:
    with deployed(tmp_path) as running:
        yield running


class _Users:
    """The command as each user: the same home and model store, other URLs."""

    def __init__(self, home: Path, servers: Deployed) -> None:
        self._home = home
        self._servers = servers
        self.made: list[Nifos] = []

    def __call__(self, user: str, broker_user: str | None = None) -> Nifos:
        made = Nifos(
            self._home,
            NIFOS_DATABASE_URL=self._servers.database_url(user),
            NIFOS_BROKER_URL=self._servers.broker_url(broker_user or user),
            NIFOS_DEVICE="cpu",
            NIFOS_WORKER_PROCESSES="1",
            NIFOS_LOG_LEVEL="debug",
            OMP_NUM_THREADS="1",
        )
        self.made.append(made)
        return made


@pytest.fixture
def as_user(tmp_path: Path, servers_of_all: Deployed) -> Iterator[_Users]:
    users = _Users(tmp_path / "home", servers_of_all)
    yield users
    for made in users.made:
        made.end()


def test_every_process_does_its_work_with_no_more_than_its_rights(
    as_user: _Users, tmp_path: Path
) -> None:
    owner, producer, reader = as_user("owner", "producer"), as_user("producer"), as_user("reader")
    said = []
    migrated = owner("migrate")
    assert migrated.returncode == 0, migrated.stderr
    worker = as_user("worker")
    service = worker.start("worker")
    done = producer("enqueue", "examples/crawl.jsonl", "--source", "demo")
    assert done.returncode == 0, done.stderr
    wait_until(
        "labels",
        lambda: reader.scalar("select count(*) from label") == 60 or service.poll() is not None,
    )
    assert service.poll() is None, service.communicate()
    alive = worker("status", "--alive", "--json")
    assert alive.returncode == 0, alive.stderr
    seen = _words_of(psutil.Process(service.pid))
    for refused, user in (("document", as_user("worker")), ("label", producer)):
        looked = user("sql", f"select * from {refused}")
        assert looked.returncode != 0, looked.stdout
        said.append(looked.stderr)
    again = owner("rescore", "--version", "starter", "--source", "demo")
    assert again.returncode == 0, again.stderr
    data = write_labelled(tmp_path / "labelled.jsonl", range(120))
    trainer = as_user("trainer")
    retrained = trainer("retrain", "--data", data, *QUICKLY, "--wait", "--json")
    assert retrained.returncode in (0, 1), retrained.stderr
    assert re.search(r'"state": "(published|blocked)"', retrained.stdout), retrained.stderr
    service.terminate()
    out, err = service.communicate(timeout=60)
    said += [out, err, seen, migrated.stderr, done.stderr, again.stderr, retrained.stderr]
    assert service.returncode == 0, err
    for secret in passwords().values():
        assert not any(secret in words for words in said)


def test_nights_and_what_mends_take_no_more_than_a_producers_rights(
    as_user: _Users, tmp_path: Path
) -> None:
    owner, producer, reader = as_user("owner", "producer"), as_user("producer"), as_user("reader")
    assert owner("migrate").returncode == 0
    today = dt.datetime.now(ZoneInfo("Asia/Seoul")).date()
    write_night(tmp_path, today, 5)
    _do(
        producer,
        *("nightly", "add", "blog", "--path", f"{tmp_path}/{{date}}/*.jsonl"),
        *("--source", "blog", "--at", "00:00", "--from", today),
    )
    service = producer.start("scheduler")
    taken = "select count(*) from night where state = 'done'"
    wait_until(
        "the night is taken in",
        lambda: reader.scalar(taken) == 1 or service.poll() is not None,
    )
    assert service.poll() is None, service.communicate()
    service.terminate()
    assert service.wait(timeout=60) == 0, service.communicate()
    for words in (
        *(("nightly", "list"), ("nightly", "run", "blog"), ("nightly", "missing")),
        ("nightly", "backfill", "blog", "--from", today, "--to", today),
        *(("retry",), ("rejects", 1), ("status",), ("forget", 1, "--yes")),
        ("nightly", "remove", "blog"),
    ):
        _do(producer, *words)
    assert reader.scalar("select count(*) from document") == 0
    _do(producer, "check")


def test_versions_are_a_trainers_to_change(
    as_user: _Users, servers_of_all: Deployed, tmp_path: Path
) -> None:
    owner, trainer, reader = as_user("owner"), as_user("trainer"), as_user("reader")
    assert owner("migrate").returncode == 0
    engine = make_engine(servers_of_all.database_url("trainer"))
    store = Store(str(owner.home / "models"), tmp_path / "cache")
    publish_version(engine, store, build_tiny_version(tmp_path / "made"), "other", active=False)
    engine.dispose()
    change = ("models", "activate", "other", "--force", "--why", "a trial")
    for user in ("producer", "worker"):
        refused = as_user(user)(*change)
        assert refused.returncode == 1, refused.stdout
        last = "nifos: PostgreSQL refused: permission denied for table version\n"
        assert refused.stderr.endswith(last), refused.stderr
        assert reader.scalar("select name from version where state = 'active'") == "starter"
    for words in (("models", "list"), ("models", "show", "other"), change):
        _do(trainer, *words)
    assert reader.scalar("select name from version where state = 'active'") == "other"
    _do(owner, "models", "rollback")
    assert reader.scalar("select name from version where state = 'active'") == "starter"


def _do(nifos: Nifos, *words: object) -> None:
    done = nifos(*words)
    assert done.returncode == 0, (words, done.stdout, done.stderr)


def _words_of(parent: psutil.Process) -> str:
    family = [parent, *parent.children(recursive=True)]
    return "\n".join(" ".join(process.cmdline()) for process in family)
