"""Real servers for every test that needs one: started once a run, a cloned database each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from sqlalchemy import text

from cli.embedded import EmbeddedServers
from core.broker import Celery, make_celery_app
from core.messages import ScoringKey
from db import versions
from db.engine import Engine, make_engine, transaction
from db.migrate import migrate
from tests.crawls import load_posts
from tests.databases import new_database, other_database

TEMPLATE = "template_nifos"


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    with EmbeddedServers(tmp_path_factory.mktemp("servers")) as running:
        yield running


@pytest.fixture(scope="session")
def template_database(servers: EmbeddedServers) -> str:
    """The name of a migrated database to clone."""
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(f"create database {TEMPLATE}")
    engine = make_engine(other_database(servers.database_url, TEMPLATE))
    migrate(engine)
    engine.dispose()
    return TEMPLATE


@pytest.fixture
def empty_database_url(servers: EmbeddedServers) -> Iterator[str]:
    yield from new_database(servers.database_url, "template1")


@pytest.fixture
def database_url(servers: EmbeddedServers, template_database: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    yield from new_database(servers.database_url, template_database)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = make_engine(database_url)
    yield made
    made.dispose()


@pytest.fixture
def active_version(engine: Engine) -> int:
    """The id of an active version that has a row and no files."""
    with transaction(engine) as connection:
        version_id = versions.register_version(
            connection, name="v1", store_path="v1", checksums={}, metrics={"macro_f1": 0.5}
        )
        versions.activate_version(connection, version_id)
    return version_id


@pytest.fixture
def key(engine: Engine, active_version: int, tmp_path: Path) -> ScoringKey:
    """A pending scoring of three documents."""
    load_posts(engine, tmp_path, 3)
    with transaction(engine) as connection:
        chunk_id = connection.scalar(text("select id from chunk"))
    assert chunk_id is not None
    return ScoringKey(chunk_id, active_version)


@pytest.fixture
def broker_url(servers: EmbeddedServers) -> Iterator[str]:
    """An empty Redis."""
    with redis.Redis(unix_socket_path=str(servers.redis_socket)) as client:
        client.flushall()
        yield servers.broker_url
        client.flushall()


@pytest.fixture
def app(broker_url: str) -> Iterator[Celery]:
    made = make_celery_app(broker_url)
    yield made
    made.close()
