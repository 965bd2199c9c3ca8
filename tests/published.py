"""Versions as `nifos` finds them, in a store and in the database, without the command."""

from __future__ import annotations

from pathlib import Path

from db import versions
from db.engine import Engine, transaction
from db.versions import VersionRow
from sentiment.store import Store, verify


def publish_version(
    engine: Engine, store: Store, directory: Path, name: str, *, active: bool = True
) -> VersionRow:
    """Put a version into both and, where it is asked for, make it the active one."""
    store.publish(directory, name)
    with transaction(engine) as connection:
        version_id = versions.register_version(
            connection,
            name=name,
            store_path=name,
            checksums=verify(directory).checksums(),
            metrics={},
        )
        if active:
            versions.activate_version(connection, version_id)
        row = versions.get_version(connection, version_id)
    assert row is not None
    return row
