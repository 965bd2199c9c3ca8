"""Stored documents labelled again, and back: the real commands, two versions, a real worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from cli.embedded import EmbeddedServers
from db import versions
from db.engine import Engine, make_engine, transaction
from db.migrate import migrate
from sentiment.store import Store
from tests.acceptance.command import Nifos, wait_until
from tests.crawls import load_posts
from tests.published import publish_version
from tests.tiny_version import build_tiny_version

OLD, NEW = 900, 60  # documents in three chunks, and in the crawl that comes later
# A batch a row makes a chunk take a second or two, so that its neighbours can be seen unmoved.
WORKER = {"NIFOS_WORKER_PROCESSES": "1", "NIFOS_BATCH_TOKENS": "16"}


@pytest.fixture
def engine(nifos: Nifos, tmp_path: Path) -> Iterator[Engine]:
    """Two tiny versions, `one` active, and servers that stay up."""
    store = Store(str(nifos.home / "models"), tmp_path / "cache")
    with EmbeddedServers(nifos.home) as servers:
        engine = make_engine(servers.database_url)
        migrate(engine)
        for seed, name in enumerate(("one", "two")):
            made = build_tiny_version(tmp_path / "made" / name, seed=seed)
            publish_version(engine, store, made, name, active=False)
        _activate(engine, "one")
        yield engine
        engine.dispose()


@pytest.fixture
def database(engine: Engine) -> Iterator[psycopg.Connection]:
    """To look at once: commands take seconds to start."""
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def _activate(engine: Engine, name: str) -> None:
    with transaction(engine) as connection:
        version = versions.find_version(connection, name)
        assert version is not None
        versions.activate_version(connection, version.id)


def _shown(database: psycopg.Connection) -> dict[str, int]:
    """Documents by the version whose label they show; daily counts are those at that moment."""
    # One statement, so that all of it is of one moment.
    row = database.execute(
        "select (select jsonb_object_agg(label, n) from"
        "  (select label, count(*) as n from sentiment group by 1) shown),"
        " (select jsonb_object_agg(label, n) from"
        "  (select label, sum(n)::bigint as n from sentiment_daily group by 1) daily),"
        " (select jsonb_object_agg(version, n) from"
        "  (select version, count(*) as n from sentiment group by 1) versions)"
    ).fetchone()
    assert row is not None
    shown, daily, by_version = row
    assert shown == daily
    return by_version or {}


def test_a_rescore_beside_a_new_crawl_and_back(
    nifos: Nifos, engine: Engine, database: psycopg.Connection, tmp_path: Path
) -> None:
    for place in range(3):
        load_posts(engine, tmp_path, OLD // 3, source=f"blog{place}")
    process = nifos.start("worker", **WORKER)
    worker = psutil.Process(process.pid)
    wait_until("all is labelled", lambda: _shown(database) == {"one": OLD})
    _activate(engine, "two")
    worker.suspend()  # so that it is the queue that decides what comes first

    done = nifos("rescore", "--wait")
    assert done.returncode == 3
    assert "all is set to be labelled again, but no worker is alive" in done.stderr
    assert "900 are to be labelled, behind new crawls" in done.stdout
    load_posts(engine, tmp_path, NEW, source="news")
    told = nifos.json("status", "--json")
    assert (told["documents_left"], told["pending"]) == (NEW, 1)
    assert told["rescores"] == [{"version": "two", "chunks": 3, "documents": OLD, "failed": 0}]
    assert [row["state"] for row in told["crawls"]] == ["scoring", "done", "done", "done"]
    assert _shown(database) == {"one": OLD}

    worker.resume()
    seen: list[dict[str, int]] = []

    def moved() -> bool:
        seen.append(_shown(database))
        return "one" not in seen[-1]

    again = nifos.start("rescore", "--wait", "--json")
    wait_until("all views have moved", moved)
    # Views move by whole chunks, the new crawl first; a look at them may miss a step.
    steps = [{"one": OLD, "two": NEW}, *({"one": OLD - n, "two": NEW + n} for n in (300, 600))]
    assert all(shown in [{"one": OLD}, *steps, {"two": OLD + NEW}] for shown in seen), seen
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert f'"labelled": {OLD + NEW}' in out
    order = database.execute(
        "select s.name from scoring sc join chunk c on c.id = sc.chunk_id"
        " join crawl r on r.id = c.crawl_id join source s on s.id = r.source_id"
        " join version v on v.id = sc.version_id where v.name = 'two' order by sc.started_at"
    ).fetchall()
    assert [name for (name,) in order] == ["news", "blog0", "blog1", "blog2"]

    back = nifos.json("models", "rollback", "--why", "중립이 사라짐", "--json")
    assert (back["from"], back["to"]) == ("two", "one")
    assert back["at_once"] == {"chunks": 3, "documents": OLD}
    assert back["to_label"] == {"chunks": 1, "documents": NEW}
    wait_until("the rest is mended", lambda: _shown(database) == {"one": OLD + NEW})
    kept = database.execute("select version, previous, why from activation_status order by at desc")
    assert kept.fetchone() == ("one", "two", "중립이 사라짐")
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
