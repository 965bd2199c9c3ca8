"""What dies in the night: workers, Redis, a version swapped under the work. Nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import redis
from safetensors.torch import load_file, save_file

from cli.embedded import EmbeddedServers
from db.engine import make_engine
from sentiment.manifest import MANIFEST, parse_manifest
from sentiment.store import Store, save_version
from tests.acceptance.command import (
    SLOWLY,
    Nifos,
    wait_until,
    worker_children,
    worker_parents,
)
from tests.crawls import posts, write_jsonl
from tests.published import publish_version
from tests.tiny_version import build_tiny_version

pytestmark = pytest.mark.slow

DOCUMENTS = 9_000  # three chunks, some seconds each when done slowly
AT_WORK = "select max(holder) from scoring where state = 'running'"


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "crawl.jsonl", posts(DOCUMENTS))


def _start_run(nifos: Nifos, crawl: Path, **settings: str) -> subprocess.Popen[str]:
    """Returned in the middle of a chunk."""
    slowly = SLOWLY | settings
    run = nifos.start("run", crawl, "--source", "blog", "--json", **slowly)
    wait_until("a chunk is being worked", lambda: _at_work(nifos, run) is not None, every_s=0.1)
    return run


def _at_work(nifos: Nifos, process: subprocess.Popen[str]) -> psutil.Process | None:
    """A process that labels a chunk at this moment."""
    assert process.poll() is None, process.communicate()[1]
    children = {child.pid: child for child in worker_children(process)}
    holder = nifos.sees(AT_WORK) if children else None
    return children.get(int(holder.split("/")[-2])) if holder else None


def _finish(nifos: Nifos, run: subprocess.Popen[str]) -> None:
    out, err = run.communicate(timeout=180)
    assert run.returncode == 0, err
    assert f'"labelled": {DOCUMENTS}' in out
    assert "Traceback" not in err
    nifos.check_complete(DOCUMENTS)


def test_a_killed_child_costs_nothing_but_time(nifos: Nifos, crawl: Path) -> None:
    run = _start_run(nifos, crawl)
    child = _at_work(nifos, run)
    assert child is not None
    child.kill()
    killed_at = time.monotonic()
    wait_until(
        "its chunk is tried again",
        lambda: nifos.sees("select count(*) from scoring where tries = 1") == 1,
        deadline_s=30,
    )
    _finish(nifos, run)
    assert nifos.scalar("select count(*) from scoring where tries = 1 and state = 'done'") == 1
    assert time.monotonic() - killed_at < 60


def test_a_killed_worker_is_started_again(nifos: Nifos, crawl: Path) -> None:
    run = _start_run(nifos, crawl)
    (parent,) = worker_parents(run)
    children = worker_children(run)
    parent.kill()
    killed_at = time.monotonic()
    psutil.wait_procs([parent, *children], timeout=10)
    wait_until("another worker starts", lambda: bool(worker_parents(run)), deadline_s=30)
    _finish(nifos, run)
    assert time.monotonic() - killed_at < 60


def test_a_redis_that_comes_back_empty_costs_a_tick(nifos: Nifos, crawl: Path) -> None:
    run = _start_run(nifos, crawl, NIFOS_WORKER_PROCESSES="1")  # two chunks wait in Redis
    socket = EmbeddedServers(nifos.home).redis_socket
    (server,) = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(socket) in " ".join(process.info["cmdline"] or [])
        or str(nifos.home / "redis") in " ".join(process.info["cmdline"] or [])
    ]
    server.kill()
    psutil.wait_procs([server], timeout=10)
    _finish(nifos, run)


def test_a_version_activated_in_the_middle_concerns_new_chunks_only(
    nifos: Nifos, crawl: Path, tmp_path: Path
) -> None:
    # As slow as can be: two commands begin and end while it works.
    run = _start_run(nifos, crawl, NIFOS_WORKER_PROCESSES="1", NIFOS_BATCH_TOKENS="16")
    version = build_tiny_version(tmp_path / "made" / "tiny")
    store = Store(str(nifos.home / "models"), tmp_path / "cache")
    engine = make_engine(EmbeddedServers(nifos.home).database_url)
    publish_version(engine, store, version, "tiny", active=False)
    engine.dispose()
    assert nifos("models", "activate", "tiny").returncode == 0
    later = write_jsonl(tmp_path / "later.jsonl", posts(3_000, start=DOCUMENTS))
    enqueued = nifos.json("enqueue", later, "--source", "blog", "--wait", "--json")
    assert (enqueued["version"], enqueued["labelled"]) == ("tiny", 3_000)
    _out, err = run.communicate(timeout=180)
    assert run.returncode == 0, err
    nifos.check_complete(DOCUMENTS + 3_000)
    by_version = nifos.json(
        "sql", "--format", "json", "select version, count(*) as n from sentiment group by 1"
    )
    assert {row["version"]: row["n"] for row in by_version} == {"starter": DOCUMENTS, "tiny": 3_000}


def test_the_same_file_enqueued_twice_at_once_is_there_once(nifos: Nifos, crawl: Path) -> None:
    up = nifos.start("up")
    wait_until("workers start", lambda: up.poll() is None and bool(worker_children(up)))
    twice = [nifos.start("enqueue", crawl, "--source", "blog", "--json") for _ in range(2)]
    codes = []
    for process in twice:
        _out, err = process.communicate(timeout=120)
        codes.append(process.returncode)
        assert process.returncode == 0 or "another load is running" in err
    assert 0 in codes
    third = nifos.json("enqueue", crawl, "--source", "blog", "--json", "--wait")
    assert (third["accepted"], third["duplicate"]) == (0, DOCUMENTS)
    nifos.check_complete(DOCUMENTS)
    os.kill(up.pid, signal.SIGINT)
    _out, err = up.communicate(timeout=60)
    assert up.returncode == 0, err


def test_every_worker_process_killed_and_redis_emptied_under_up(nifos: Nifos, crawl: Path) -> None:
    up = nifos.start("up", **SLOWLY)
    wait_until("workers start", lambda: up.poll() is None and len(worker_children(up)) == 2)
    nifos.json("enqueue", crawl, "--source", "blog", "--json")
    wait_until("a chunk is being worked", lambda: _at_work(nifos, up) is not None, every_s=0.1)
    for process in [*worker_parents(up), *worker_children(up)]:
        process.kill()
    with redis.Redis(unix_socket_path=str(EmbeddedServers(nifos.home).redis_socket)) as client:
        client.flushall()
    done = nifos("enqueue", crawl, "--source", "blog", "--json")
    assert done.returncode == 0, done.stderr
    wait_until(
        "the crawl is complete",
        lambda: nifos.sees("select count(*) from scoring where state <> 'done'") == 0,
        deadline_s=120,
    )
    nifos.check_complete(DOCUMENTS)


def test_a_version_that_cannot_be_loaded_ends_the_run_and_can_be_retried(
    nifos: Nifos, tmp_path: Path
) -> None:
    """Its checksums are right, so only loading it shows that it is no model."""
    assert nifos("migrate").returncode == 0
    whole = build_tiny_version(tmp_path / "made" / "tiny")
    broken = tmp_path / "made" / "aside"
    shutil.copytree(whole, broken)
    manifest = parse_manifest((broken / MANIFEST).read_bytes(), "tiny")
    (broken / MANIFEST).unlink()
    weights = load_file(broken / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if not name.startswith("classifier")},
        broken / "model.safetensors",
        metadata={"format": "pt"},
    )
    version = tmp_path / "made" / "broken"
    save_version(broken, version, manifest.model_copy(update={"files": {}}))
    store = Store(str(nifos.home / "models"), tmp_path / "cache")
    with EmbeddedServers(nifos.home) as servers:
        engine = make_engine(servers.database_url)
        publish_version(engine, store, version, "broken", active=False)
        engine.dispose()
    assert nifos("models", "activate", "broken").returncode == 0
    done = nifos("run", "examples/crawl.jsonl", "--source", "demo", "--json")
    assert done.returncode == 1
    outcome = json.loads(done.stdout)
    assert (outcome["accepted"], outcome["labelled"], outcome["failed"]) == (60, 0, 60)
    assert "lacks classifier" in done.stderr
    assert "Traceback" not in done.stderr
    assert "1 scorings are pending again" in nifos("retry", outcome["crawl"]).stdout
    assert nifos.scalar("select state || tries from scoring") == "pending0"


def test_stopping_in_the_middle_of_a_chunk_costs_no_try(nifos: Nifos, crawl: Path) -> None:
    run = _start_run(nifos, crawl, NIFOS_WORKER_PROCESSES="1")
    for child in worker_children(run):
        child.suspend()  # a chunk that takes for ever
    os.kill(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (130, "")
    assert "interrupted" in err
    assert "Traceback" not in err
    assert nifos.scalar("select count(*) from scoring where state = 'running'") == 0
    assert nifos.scalar("select max(tries) from scoring") == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_that_closes_leaves_no_server(nifos: Nifos, number: signal.Signals) -> None:
    watch = nifos.start("status", "--watch")
    home = str(nifos.home)

    def servers() -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if home in " ".join(process.info["cmdline"] or []) and process.pid != watch.pid
        ]

    socket = EmbeddedServers(nifos.home).redis_socket
    wait_until("the servers run", lambda: socket.exists() and bool(servers()))
    wait_until("the crawls are shown", lambda: bool(nifos("status").stdout))
    os.kill(watch.pid, number)
    _out, err = watch.communicate(timeout=60)
    assert "Traceback" not in err
    assert servers() == []


def test_a_scheduler_feeds_what_was_enqueued_while_redis_was_emptied(nifos: Nifos) -> None:
    scheduler = nifos.start("scheduler")
    nifos.json("enqueue", "examples/crawl.jsonl", "--source", "demo", "--json")
    with redis.Redis(unix_socket_path=str(EmbeddedServers(nifos.home).redis_socket)) as client:
        client.flushall()
    wait_until("the message is there again", lambda: nifos.json("status", "--json")["queue"] == 1)
    os.kill(scheduler.pid, signal.SIGTERM)
    _out, err = scheduler.communicate(timeout=60)
    assert scheduler.returncode == 0, err
