"""Give a database without a version the shipped one."""

from __future__ import annotations

from db import versions
from db.engine import Engine, transaction
from db.locks import wait_for_migration_lock
from sentiment.store import Store, shipped_version, verify

STARTER = "starter"


def seed_starter(engine: Engine, store: Store) -> bool:
    """Publish the shipped version as `starter` and make it active, where no version is.

    Returns:
        Whether it was done.

    Raises:
        ModelError: the shipped version is damaged, or the store refuses it.
    """
    with transaction(engine) as connection:
        wait_for_migration_lock(connection)
        if versions.list_versions(connection):
            return False
        manifest = verify(shipped_version())
        store.publish(shipped_version(), STARTER)
        version_id = versions.register_version(
            connection,
            name=STARTER,
            store_path=STARTER,
            checksums=manifest.checksums(),
            metrics=manifest.metrics,
        )
        versions.activate_version(connection, version_id, who="nifos", why="the shipped version")
    return True
