"""Statements about crawls: begin a load, count it, release it, discard it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from core.errors import InputError, ModelError
from db.silence import wait_however_long


@dataclass(frozen=True)
class CrawlCounts:
    """What became of a crawl's rows. `read == accepted + duplicate + rejected`.

    `repaired`: of the accepted, those out of which something that cannot be stored was taken.
    """

    read: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    repaired: int = 0

    def __add__(self, other: CrawlCounts) -> CrawlCounts:
        return CrawlCounts(
            self.read + other.read,
            self.accepted + other.accepted,
            self.duplicate + other.duplicate,
            self.rejected + other.rejected,
            self.repaired + other.repaired,
        )


def find_source(connection: Connection, name: str) -> int | None:
    """The id of the source of that name."""
    found = connection.scalar(text("select id from source where name = :name"), {"name": name})
    return None if found is None else int(found)


def ensure_source(connection: Connection, name: str) -> int:
    """The id of a source, made if it is new."""
    found = find_source(connection, name)
    if found is not None:
        return found
    return int(
        connection.execute(
            text(
                "insert into source (name) values (:name)"
                " on conflict on constraint source_name_unique do update set name = excluded.name"
                " returning id"
            ),
            {"name": name},
        ).scalar_one()
    )


def discard_unreleased(connection: Connection, source_id: int) -> int:
    """Delete loads of a source that never ended. Only for the holder of its load lock."""
    wait_however_long(connection)  # one statement, so that it happens whole or not at all
    return connection.execute(
        text("delete from crawl where source_id = :source and state = 'loading'"),
        {"source": source_id},
    ).rowcount


def begin_crawl(connection: Connection, source_id: int) -> int:
    """Make the row of a crawl that is being loaded. Nothing of it is scored before its release."""
    return int(
        connection.execute(
            text("insert into crawl (source_id) values (:source) returning id"),
            {"source": source_id},
        ).scalar_one()
    )


def count_crawl(connection: Connection, crawl_id: int, counts: CrawlCounts) -> None:
    """Set the counts of a crawl, in the transaction that wrote the rows they count."""
    connection.execute(
        text(
            "update crawl set read = :read, accepted = :accepted, duplicate = :duplicate,"
            " rejected = :rejected, repaired = :repaired where id = :crawl"
        ),
        {"crawl": crawl_id, **counts.__dict__},
    )


def release_crawl(
    connection: Connection, crawl_id: int, files: Sequence[dict[str, Any]]
) -> tuple[int, str]:
    """Make the scorings of a crawl that was read whole, for the version that is active now.

    Returns:
        How many scorings were made, and the version's name.

    Raises:
        ModelError: no version is active.
    """
    version = _hold_active_version(connection)
    released = connection.execute(
        text(
            "update crawl set state = 'released', released_at = now(), files = :files"
            " where id = :crawl and state = 'loading'"
        ).bindparams(bindparam("files", type_=JSONB)),
        {"crawl": crawl_id, "files": list(files)},
    )
    if released.rowcount != 1:
        raise InputError(f"crawl {crawl_id} was deleted while it was loaded")
    parameters = {"crawl": crawl_id, "version": version.id}
    connection.execute(
        text("update chunk set wanted_version_id = :version where crawl_id = :crawl"), parameters
    )
    made = connection.execute(
        text(
            "insert into scoring (chunk_id, version_id)"
            " select id, :version from chunk where crawl_id = :crawl"
        ),
        parameters,
    )
    return made.rowcount, str(version.name)


def _hold_active_version(connection: Connection) -> Row[tuple[int, str]]:
    statement = text("select id, name from hold_active_version()")
    # Twice: the first may have waited for an activation, and then sees neither the old nor the new.
    version = connection.execute(statement).one_or_none()
    version = version or connection.execute(statement).one_or_none()
    if version is None:
        raise ModelError("no version is active: activate one with `nifos models activate NAME`")
    return version


def delete_crawl(connection: Connection, crawl_id: int) -> int:
    """Delete a crawl with its documents, labels, counts and rejects.

    Returns:
        How many documents went.

    Raises:
        InputError: there is no such crawl.
    """
    wait_however_long(connection)  # one statement, so that it happens whole or not at all
    accepted = connection.scalar(
        text("delete from crawl where id = :crawl returning accepted"), {"crawl": crawl_id}
    )
    if accepted is None:
        raise InputError(f"no crawl {crawl_id}: `nifos status` lists them")
    return int(accepted)
