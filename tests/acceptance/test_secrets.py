"""Passwords stand in URLs: in no message, no log, no traceback and no process list."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from cli.embedded import EmbeddedServers
from tests.acceptance.command import Nifos

SECRET = "hunter2Secret"
DATABASES = {
    "nobody listens": f"postgresql://nifos:{SECRET}@127.0.0.1:1/nifos",
    "no such host": f"postgresql://nifos:{SECRET}@gone.invalid/nifos",
    "no such database": None,
    "an @ that is not escaped": f"postgresql://nifos:x@{SECRET}@127.0.0.1:1/nifos",
    "no URL": f"postgresql:/nifos:{SECRET}@127.0.0.1",
    "another option": f"postgresql://nifos:{SECRET}@127.0.0.1:1/nifos?sslmode=strange",
    "a port that is none": f"postgresql://nifos:{SECRET}@127.0.0.1:{SECRET}/nifos",
}
BROKERS = {
    "nobody listens": f"redis://nifos:{SECRET}@127.0.0.1:1/0",
    "no such host": f"redis://nifos:{SECRET}@gone.invalid/0",
    "a slash that is not escaped": f"redis://nifos:x/{SECRET}@127.0.0.1:1/0",
    "wrong password": None,
}


@pytest.fixture
def nifos(tmp_path: Path) -> Iterator[Nifos]:
    command = Nifos(tmp_path / "home", NIFOS_LOG_LEVEL="debug", NIFOS_DEVICE="cpu")
    yield command
    command.end()


def _check(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode in (2, 3), done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert "nifos: " in done.stderr


@pytest.mark.parametrize("wrong", DATABASES)
def test_a_wrong_database_url_is_never_repeated(
    nifos: Nifos, servers: EmbeddedServers, wrong: str
) -> None:
    url = DATABASES[wrong] or servers.database_url.replace(
        "postgres@/nifos", f"postgres:{SECRET}@/gone"
    )
    _check(nifos("-v", "sql", "select 1", NIFOS_DATABASE_URL=url))


@pytest.mark.parametrize("wrong", BROKERS)
def test_a_wrong_broker_url_is_never_repeated(
    nifos: Nifos, servers: EmbeddedServers, database_url: str, broker_url: str, wrong: str
) -> None:
    url = BROKERS[wrong] or broker_url.replace("socket://", f"socket://gone:{SECRET}@")
    _check(nifos("-v", "status", NIFOS_DATABASE_URL=database_url, NIFOS_BROKER_URL=url))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"memory://someone:x/{SECRET}@host/models", "store memory://host/models"),
        (f"memory://host/models?token={SECRET}", "store memory://host/models"),
        (f"ftp://someone:{SECRET}/x@127.0.0.1:1/models", "model store ftp://127.0.0.1:1/models"),
    ],
)
def test_a_diagnosis_shows_the_model_store_without_them(nifos: Nifos, url: str, shown: str) -> None:
    done = nifos("-v", "doctor", "--json", NIFOS_MODEL_STORE=url)
    assert shown in done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.slow
def test_no_process_of_a_run_shows_them(
    nifos: Nifos, servers: EmbeddedServers, database_url: str, broker_url: str
) -> None:
    """Not even with Redis going away under a worker, whose library tells what it connects to."""
    with (
        psycopg.connect(database_url, autocommit=True) as admin,
        redis.Redis(unix_socket_path=str(servers.redis_socket)) as client,
    ):
        client.acl_setuser(
            "secretive",
            enabled=True,
            passwords=[f"+{SECRET}"],
            keys=["*"],
            channels=["*"],
            categories=["+@all"],
        )
        urls = {
            "NIFOS_DATABASE_URL": database_url.replace("postgres@", f"postgres:{SECRET}@"),
            "NIFOS_BROKER_URL": broker_url.replace("socket://", f"socket://secretive:{SECRET}@"),
            "NIFOS_WORKER_PROCESSES": "1",
        }
        try:
            assert nifos("migrate", **urls).returncode == 0
            run = nifos.start("run", "examples/crawl.jsonl", "--source", "demo", **urls)
            seen: set[str] = set()
            cut = False
            while run.poll() is None:
                seen |= _words_of(run.pid)
                if not cut and any("spawn_main" in words for words in seen):
                    client.acl_setuser("secretive", enabled=False)
                    client.client_kill_filter(_type="normal", skipme=True)
                    cut = True
                    client.acl_setuser("secretive", enabled=True)
                with suppress(subprocess.TimeoutExpired):
                    run.wait(0.2)
        finally:
            client.acl_deluser("secretive")
        out, err = run.communicate()
        assert run.returncode == 0, err
        assert admin.execute("select count(*) from label").fetchone() == (60,)
    assert len(seen) >= 3, seen  # the run, its worker, a child of that
    assert SECRET not in "\n".join([out, err, *seen])


def _words_of(pid: int) -> set[str]:
    words = set()
    with suppress(psutil.Error):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.Error):
                words.add(" ".join(process.cmdline()))
    return words
