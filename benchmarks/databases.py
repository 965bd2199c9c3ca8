"""Empty databases of ours for a measurement, each dropped behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from db import versions
from db.engine import make_engine, transaction
from db.migrate import migrate


@contextmanager
def fresh_database(server_url: str, name: str) -> Iterator[str]:
    """A migrated database on a server, with an active version that has no files; gives its URL."""
    head, _, query = server_url.partition("?")
    url = f"{head.rpartition('/')[0]}/{name}?{query}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f'create database "{name}"')
        try:
            engine = make_engine(url)
            migrate(engine)
            with transaction(engine) as connection:
                version_id = versions.register_version(
                    connection, name="none", store_path="none", checksums={}, metrics={}
                )
                versions.activate_version(connection, version_id)
            engine.dispose()
            yield url
        finally:
            server.execute(f'drop database "{name}" with (force)')
            server.execute("checkpoint")  # else it would fall into the next measurement
