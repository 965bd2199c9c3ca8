"""Statements about versions: which exist, which one is active."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

_SELECT = "select id, name, store_path, checksums, metrics, state, created_at from version"


@dataclass(frozen=True)
class VersionRow:
    """One published version as the database knows it. `store_path` is relative to the store."""

    id: int
    name: str
    store_path: str
    checksums: dict[str, str]
    metrics: dict[str, Any]
    state: str
    created_at: datetime


def list_versions(connection: Connection) -> list[VersionRow]:
    """All versions, oldest first."""
    rows = connection.execute(text(_SELECT + " order by id"))
    return [VersionRow(**row._mapping) for row in rows]


def find_version(connection: Connection, name: str) -> VersionRow | None:
    """The version of that name."""
    row = connection.execute(text(_SELECT + " where name = :name"), {"name": name}).one_or_none()
    return None if row is None else VersionRow(**row._mapping)


def get_version(connection: Connection, version_id: int) -> VersionRow | None:
    """The version of that id."""
    row = connection.execute(text(_SELECT + " where id = :id"), {"id": version_id}).one_or_none()
    return None if row is None else VersionRow(**row._mapping)


def active_version(connection: Connection) -> VersionRow | None:
    """The version that new chunks are scored with."""
    row = connection.execute(text(_SELECT + " where state = 'active'")).one_or_none()
    return None if row is None else VersionRow(**row._mapping)


def register_version(
    connection: Connection,
    *,
    name: str,
    store_path: str,
    checksums: Mapping[str, str],
    metrics: Mapping[str, Any],
) -> int:
    """Make the row of a version whose directory is already in the store. Returns its id."""
    statement = text(
        "insert into version (name, store_path, checksums, metrics)"
        " values (:name, :store_path, :checksums, :metrics) returning id"
    ).bindparams(bindparam("checksums", type_=JSONB), bindparam("metrics", type_=JSONB))
    return int(
        connection.execute(
            statement,
            {
                "name": name,
                "store_path": store_path,
                "checksums": dict(checksums),
                "metrics": dict(metrics),
            },
        ).scalar_one()
    )


def activate_version(connection: Connection, version_id: int) -> None:
    """Make one version the active one. Concerns chunks that are released from now on."""
    # In this order, because the unique index that holds "at most one" is checked at once.
    connection.execute(
        text("update version set state = 'published' where state = 'active' and id <> :id"),
        {"id": version_id},
    )
    connection.execute(
        text("update version set state = 'active' where id = :id"), {"id": version_id}
    )
