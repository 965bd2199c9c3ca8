"""Statements about versions: which exist, what the gate said of them, which one is active."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from db.locks import wait_for_activation_lock

_SELECT = "select id, name, store_path, checksums, metrics, state, created_at, verdict from version"


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
    verdict: dict[str, Any] | None = None
    """What the gate said of it (`trainer.gate.Verdict.as_json`); None: it was never judged."""

    @property
    def blocked(self) -> bool:
        """Whether the gate blocks it. It may be active all the same: by force."""
        return self.verdict is not None and not self.verdict["passed"]


@dataclass(frozen=True)
class ActivationRow:
    """One row of the view `activation_status`: `version` took the place of `previous`."""

    at: datetime
    version: str
    previous: str | None
    who: str
    why: str
    forced: bool


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
    verdict: Mapping[str, Any] | None = None,
) -> int:
    """Make the row of a version whose directory is already in the store. Returns its id."""
    statement = text(
        "insert into version (name, store_path, checksums, metrics, verdict)"
        " values (:name, :store_path, :checksums, :metrics, :verdict) returning id"
    ).bindparams(
        bindparam("checksums", type_=JSONB),
        bindparam("metrics", type_=JSONB),
        bindparam("verdict", type_=JSONB(none_as_null=True)),
    )
    return int(
        connection.execute(
            statement,
            {
                "name": name,
                "store_path": store_path,
                "checksums": dict(checksums),
                "metrics": dict(metrics),
                "verdict": None if verdict is None else dict(verdict),
            },
        ).scalar_one()
    )


def activate_version(
    connection: Connection,
    version_id: int,
    *,
    who: str = "unknown",
    why: str = "",
    forced: bool = False,
) -> None:
    """Make one version the active one. Concerns chunks that are released from now on.

    One activation waits for another. A version that is active already stays so, and nothing is
    recorded.

    Args:
        connection: the caller owns the transaction.
        version_id: of the version.
        who: made it active.
        why: in that person's words.
        forced: against the gate's verdict.
    """
    wait_for_activation_lock(connection)
    previous = active_version(connection)
    if previous is not None and previous.id == version_id:
        return
    # In this order, because the unique index that holds "at most one" is checked at once.
    connection.execute(text("update version set state = 'published' where state = 'active'"))
    connection.execute(
        text("update version set state = 'active' where id = :id"), {"id": version_id}
    )
    connection.execute(
        text(
            "insert into activation (version_id, previous_version_id, who, why, forced)"
            " values (:id, :previous, :who, :why, :forced)"
        ),
        {
            "id": version_id,
            "previous": None if previous is None else previous.id,
            "who": who,
            "why": why,
            "forced": forced,
        },
    )


def list_activations(
    connection: Connection, limit: int, *, version: str | None = None
) -> list[ActivationRow]:
    """The newest activations first, of all versions or of one."""
    rows = connection.execute(
        text(
            "select at, version, previous, who, why, forced from activation_status"
            " where cast(:version as text) is null or version = :version"
            " order by at desc limit :limit"
        ),
        {"limit": limit, "version": version},
    )
    return [ActivationRow(**row._mapping) for row in rows]


def previous_version(connection: Connection) -> VersionRow | None:
    """The version to go back to: the one that was active before the current one.

    Going back is not an activation to be undone in turn: after A, B and back to A there is nothing
    before A, and after A, B, C and back to B there is A. So a rollback that is asked for twice
    never brings a bad version back.
    """
    path = activation_path(connection)
    return get_version(connection, path[-2]) if len(path) > 1 else None


def activation_path(connection: Connection) -> list[int]:
    """The versions that rollbacks go back along, the active one last.

    Without those that were left by going back.
    """
    path: list[int] = []
    for version_id in connection.scalars(text("select version_id from activation order by id")):
        if version_id in path:
            del path[path.index(version_id) :]
        path.append(version_id)
    return path
