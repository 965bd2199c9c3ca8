"""Databases of a test's own, cloned from one that is ready."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg


def new_database(url: str, template: str) -> Iterator[str]:
    """Give the URL of a new one on the server of `url`."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}")
        yield other_database(url, name)


def other_database(url: str, name: str) -> str:
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{query}"
