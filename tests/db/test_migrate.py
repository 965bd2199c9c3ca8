from __future__ import annotations

import threading

import pytest
from alembic import command
from sqlalchemy import text

from core.errors import DatabaseError, NifosError
from db import migrate as migrate_module
from db.engine import Engine, make_engine, transaction
from db.migrate import migrate, require_migrated

PLAIN_VIEWS = {
    "sentiment": "document_id source external_id written_at text label label_ko"
    " p_negative p_neutral p_positive version extra",
    "sentiment_daily": "source day label label_ko n share",
}


def names_of(engine: Engine, query: str) -> list[str]:
    with transaction(engine) as connection:
        return list(connection.scalars(text(query)).all())


def test_an_empty_database_is_refused_with_the_command_to_type(empty_database_url: str) -> None:
    engine = make_engine(empty_database_url)
    with pytest.raises(DatabaseError, match="nifos migrate"):
        require_migrated(engine)
    engine.dispose()


def test_migrating_twice_at_once_is_migrating_once(empty_database_url: str) -> None:
    engine = make_engine(empty_database_url, pool_size=4)
    applied: list[bool] = []
    threads = [threading.Thread(target=lambda: applied.append(migrate(engine))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [False, False, True]
    require_migrated(engine)
    engine.dispose()


def test_a_newer_schema_is_refused(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(DatabaseError, match="9999"):
        require_migrated(engine)


@pytest.mark.parametrize(("view", "columns"), PLAIN_VIEWS.items())
def test_the_views_have_the_columns_that_analysts_know(
    engine: Engine, view: str, columns: str
) -> None:
    with transaction(engine) as connection:
        found = connection.execute(text(f"select * from {view}")).keys()
    assert list(found) == columns.split()


def test_every_table_and_view_is_explained(engine: Engine) -> None:
    silent = names_of(
        engine,
        "select relname from pg_class where relnamespace = 'public'::regnamespace"
        " and relkind in ('r', 'v') and obj_description(oid, 'pg_class') is null",
    )
    assert silent == ["alembic_version"]


def test_every_column_of_every_view_is_explained_in_both_languages(engine: Engine) -> None:
    columns = (
        "select relname || '.' || attname from pg_attribute join pg_class c on c.oid = attrelid"
        " where relnamespace = 'public'::regnamespace and relkind = 'v' and attnum > 0"
    )
    in_one = f"{columns} and col_description(c.oid, attnum) like '% | %' is not true"
    assert len(names_of(engine, columns)) > 50
    assert names_of(engine, in_one) == []


def test_every_constraint_has_a_name_of_ours(engine: Engine) -> None:
    unnamed = names_of(
        engine,
        "select conname from pg_constraint c join pg_class t on t.oid = c.conrelid"
        " where t.relnamespace = 'public'::regnamespace and contype <> 'n'"
        " and t.relname <> 'alembic_version' and conname ~ '_(pkey|fkey|key|check)[0-9]*$'"
        " and conname <> 'document_key'",
    )
    assert unnamed == []


def test_at_most_one_version_is_active(engine: Engine) -> None:
    insert = text(
        "insert into version (name, store_path, checksums, metrics, state)"
        " values (:name, 'x', '{}', '{}', 'active')"
    )
    with transaction(engine) as connection:
        connection.execute(insert, {"name": "a"})
    with pytest.raises(NifosError, match="version_one_active"), transaction(engine) as connection:
        connection.execute(insert, {"name": "b"})


def test_a_database_of_the_first_schema_keeps_its_documents(empty_database_url: str) -> None:
    engine = make_engine(empty_database_url)
    with transaction(engine) as connection:
        config = migrate_module._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text("insert into source (name) values ('blog')"))
        connection.execute(text("insert into crawl (source_id, read, accepted) values (1, 1, 1)"))
        connection.execute(text("insert into chunk (crawl_id, n_documents) values (1, 1)"))
        connection.execute(
            text(
                "insert into document (source_id, external_id, text, text_hash, chunk_id)"
                " values (1, 'a', '글', '', 1)"
            )
        )
    assert migrate(engine)
    require_migrated(engine)
    with transaction(engine) as connection:
        connection.execute(text("delete from chunk"))
        assert connection.scalar(text("select count(*) from document")) == 0
        assert connection.scalar(text("select repaired from crawl_status")) == 0
    engine.dispose()
