"""Bring a database to the schema of this program, and tell whether it is there."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from core.errors import DatabaseError
from db.engine import transaction
from db.locks import wait_for_migration_lock
from db.roles import act_as_owner, grant_rights, prepare_roles

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(engine: Engine) -> bool:
    """Apply what is missing, in one transaction, one process at a time; the roles' rights too.

    Returns:
        Whether any table was changed.

    Raises:
        DatabaseError: roles are lacking and may not be made; the message says by what statements.
    """
    with transaction(engine) as connection:
        prepare_roles(connection)
    with transaction(engine) as connection:
        wait_for_migration_lock(connection)
        act_as_owner(connection)
        applied = _revision(connection) != _newest()
        if applied:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        grant_rights(connection)
        return applied


def require_migrated(engine: Engine) -> None:
    """Refuse to go on with a database of another schema.

    Raises:
        DatabaseError: naming the command to type.
    """
    with transaction(engine) as connection:
        revision = _revision(connection)
    if revision is None:
        raise DatabaseError("the database has no tables of ours yet: run `nifos migrate`")
    if revision != _newest():
        raise DatabaseError(
            f"the database has schema {revision}, this program needs {_newest()}: "
            "run `nifos migrate` with the newer program"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _newest() -> str:
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if newest is None:
        raise DatabaseError("the program's migrations are missing: install it again")
    return newest


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
