"""The whole route as it is deployed: a user a service, least rights, passwords, verified TLS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.acceptance.command import Nifos, wait_until
from tests.deployed import Deployed, deployed, passwords
from tests.labelled import write_labelled

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


def _words_of(parent: psutil.Process) -> str:
    family = [parent, *parent.children(recursive=True)]
    return "\n".join(" ".join(process.cmdline()) for process in family)
