"""Rights are tested by trying: what the table says can be done, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from sqlalchemy import text

from cli.embedded import EmbeddedServers
from core.errors import DatabaseError, NifosError
from core.messages import ScoringKey
from db import crawls, labels, scorings, versions
from db.engine import Engine, make_engine, transaction
from db.migrate import migrate, require_migrated
from db.roles import (
    GROUPS,
    OWNER,
    PRODUCER,
    READER,
    RELATIONS,
    ROLES,
    TRAINER,
    WORKER,
    Right,
    act_as_owner,
    current_rights,
    expected_rights,
    grant_rights,
    prepare_roles,
)
from tests.crawls import load_posts

OPEN_FUNCTIONS = """
select proname from pg_proc p where pronamespace = 'public'::regnamespace
and has_function_privilege('pg_monitor', p.oid, 'execute')
"""

Connection = psycopg.Connection[tuple[object, ...]]


@contextmanager
def login(superuser_url: str, options: str = "") -> Iterator[str]:
    """A user that an administrator makes, gone at the end. Gives its name."""
    name = f"user_{uuid4().hex[:12]}"
    with psycopg.connect(superuser_url, autocommit=True) as admin:
        admin.execute(f"create user {name} {options}")
        try:
            yield name
        finally:
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [name]
            )
            admin.execute(f"drop owned by {name} cascade")
            admin.execute(f"drop user {name}")


def as_user(url: str, name: str) -> str:
    return url.replace("postgresql://postgres@", f"postgresql://{name}@")


@pytest.fixture(params=GROUPS)
def group(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def member(database_url: str, group: str) -> Iterator[Connection]:
    """A connection of a user in a group, who may do what the group may."""
    with (
        login(database_url, f"in role {group}") as name,
        psycopg.connect(as_user(database_url, name)) as connection,
    ):
        yield connection


def _may(connection: Connection, statement: str) -> bool:
    """Whether it is allowed. That a row breaks a constraint is another question, asked later."""
    with connection.transaction(force_rollback=True):
        try:
            with connection.transaction():
                connection.execute(statement.encode())
        except (
            psycopg.errors.InsufficientPrivilege,
            psycopg.errors.ObjectNotInPrerequisiteState,  # a view of several tables
            psycopg.errors.WrongObjectType,  # a view that is treated as a table
        ):
            return False
        except psycopg.errors.IntegrityError:
            return True
    return True


def _columns(connection: Connection, relation: str) -> list[str]:
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s)"
        " and attnum > 0 and not attisdropped",
        [relation],
    )
    return [str(name) for (name,) in rows]


def test_each_role_can_do_what_the_table_says_and_nothing_else(
    member: Connection, group: str
) -> None:
    can: set[Right] = set()
    for name in RELATIONS:
        for what, statement in (
            ("select", f"select 1 from {name} limit 0"),
            ("insert", f"insert into {name} default values"),
            ("delete", f"delete from {name} where false"),
        ):
            if _may(member, statement):
                can.add((group, name, what, ""))
        columns = _columns(member, name)
        changeable = [
            column
            for column in columns
            if _may(member, f"update {name} set {column} = default where false")
        ]
        can |= {
            (group, name, "update", column)
            for column in ([""] if changeable == columns else changeable)
        }
        for what in ("truncate", "drop", "alter"):
            rest = "add column x int" if what == "alter" else ""
            assert not _may(member, f"{what} table {name} {rest}"), (what, name)
    assert can == {right for right in expected_rights() if right[0] == group}


def test_every_table_and_view_stands_in_the_table_of_rights(engine: Engine) -> None:
    """A new one is nobody's until somebody decides whose: add it to `db/roles.py`."""
    with transaction(engine) as connection:
        there = connection.scalars(
            text(
                "select relname from pg_class where relnamespace = 'public'::regnamespace"
                " and relkind in ('r', 'v')"
            )
        ).all()
    assert set(there) == set(RELATIONS)


@pytest.mark.parametrize(
    ("role", "right"),
    [
        (WORKER, ("document", "insert", "")),
        (WORKER, ("document", "update", "")),
        (WORKER, ("label", "update", "")),
        (WORKER, ("label", "delete", "")),
        (WORKER, ("version", "update", "state")),
        (WORKER, ("scoring", "insert", "")),
        (PRODUCER, ("label", "insert", "")),
        (PRODUCER, ("label", "select", "")),
        (PRODUCER, ("version", "update", "state")),
        (PRODUCER, ("document", "delete", "")),
        (TRAINER, ("document", "insert", "")),
        (TRAINER, ("label", "insert", "")),
        (TRAINER, ("scoring", "update", "")),
    ],
)
def test_the_table_itself_keeps_them_apart(role: str, right: tuple[str, str, str]) -> None:
    assert (role, *right) not in expected_rights()


def test_the_reader_reads_everything_and_writes_nothing() -> None:
    rights = {right for right in expected_rights() if right[0] == READER}
    assert rights == {(READER, name, "select", "") for name in RELATIONS}


def test_nobody_is_let_in_by_public(engine: Engine) -> None:
    with transaction(engine) as connection:
        open_to_all = connection.scalars(
            text(
                "select c.relname from pg_class c, aclexplode(c.relacl) a"
                " where c.relnamespace = 'public'::regnamespace and a.grantee = 0"
            )
        ).all()
    assert list(open_to_all) == []


def test_who_deletes_a_crawl_deletes_its_documents_and_no_others(
    engine: Engine, database_url: str, key: ScoringKey
) -> None:
    with login(database_url, f"in role {PRODUCER}") as name:
        theirs = make_engine(as_user(database_url, name))
        with transaction(theirs) as connection:
            assert crawls.delete_crawl(connection, 1) == 3
        # The function that does it acts as the owner: it must not be had for other tables.
        with psycopg.connect(as_user(database_url, name)) as connection:
            connection.execute("create temp table bait (id bigint)")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(
                    "create trigger t after delete on bait referencing old table as gone"
                    " for each statement execute function chunk_delete_documents()"
                )
        theirs.dispose()
    with transaction(engine) as connection:
        assert connection.scalar(text("select count(*) from document")) == 0


def test_a_chunk_goes_its_way_through_both_roles(
    database_url: str, active_version: int, tmp_path: Path
) -> None:
    with (
        login(database_url, f"in role {PRODUCER}") as producer,
        login(database_url, f"in role {WORKER}") as worker,
    ):
        theirs, ours = (make_engine(as_user(database_url, name)) for name in (producer, worker))
        load_posts(theirs, tmp_path, 3)
        with transaction(ours) as connection:
            chunk_id, first = connection.execute(
                text("select chunk_id, min(id) from document group by 1")
            ).one()
            key = ScoringKey(chunk_id, active_version)
            assert scorings.claim(connection, key, "me") == 1
            columns = labels.LabelColumns(
                [first, first + 1],
                np.zeros(2, np.int8),
                np.full((2, 3), 1 / 3, np.float32),
                np.zeros(2, np.bool_),
                {first + 2: "it ends its worker"},
            )
            assert labels.finish(
                connection, key, 1, columns, timezone="Asia/Seoul", measured=labels.Measured()
            )
            scorings.return_expired(connection)
        with transaction(theirs) as connection:
            scorings.return_expired(connection)
            scorings.retry_failed(connection, None)
            scorings.due_to_publish(connection, 64, 0)
        theirs.dispose()
        ours.dispose()


def test_a_trainer_registers_and_activates_a_version(database_url: str, engine: Engine) -> None:
    with login(database_url, f"in role {TRAINER}") as name:
        theirs = make_engine(as_user(database_url, name))
        with transaction(theirs) as connection:
            version_id = versions.register_version(
                connection, name="new", store_path="new", checksums={}, metrics={}
            )
            versions.activate_version(connection, version_id, who="me", why="better")
        theirs.dispose()


def test_rights_come_back_to_the_table_and_the_rest_is_left_alone(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text(f"grant delete on label to {WORKER}"))
        connection.execute(text(f"revoke select on document from {READER}"))
        connection.execute(text(f"grant update (text) on document to {TRAINER}"))
        connection.execute(text("grant execute on function chunk_delete_documents() to public"))
    assert not migrate(engine)
    with transaction(engine) as connection:
        assert current_rights(connection) == expected_rights()
        assert not grant_rights(connection)
        assert connection.scalars(text(OPEN_FUNCTIONS)).all() == ["label_ko"]


def test_a_member_of_the_owner_migrates_and_the_owner_has_it(
    empty_database_url: str, template_database: str
) -> None:
    """Neither may it make roles, nor is the database its own."""
    with login(empty_database_url, f"in role {OWNER}") as name:
        with psycopg.connect(empty_database_url) as admin:
            admin.execute(f"grant create, usage on schema public to {OWNER}")
        engine = make_engine(as_user(empty_database_url, name))
        assert migrate(engine)
        require_migrated(engine)
        with transaction(engine) as connection:
            assert current_rights(connection) == expected_rights()
            owners = connection.scalars(
                text(
                    "select distinct relowner::regrole::text from pg_class"
                    " where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')"
                )
            ).all()
        assert list(owners) == [OWNER]
        engine.dispose()


def test_who_may_not_make_roles_is_told_the_statements_and_they_suffice(
    empty_database_url: str, template_database: str
) -> None:
    """The roles are the server's and stand already: membership and the schema's rights lack."""
    with login(empty_database_url) as name:
        engine = make_engine(as_user(empty_database_url, name))
        with pytest.raises(DatabaseError, match="an administrator of the server runs") as caught:
            migrate(engine)
        assert "\n" not in str(caught.value)
        assert f"grant {OWNER} to {name};" in str(caught.value)
        with psycopg.connect(empty_database_url, autocommit=True) as admin:
            admin.execute(str(caught.value).partition("once: ")[2].encode())
        assert migrate(engine)
        engine.dispose()


def test_a_database_of_before_the_roles_becomes_the_owners(
    empty_database_url: str, template_database: str
) -> None:
    """It was migrated by an ordinary user that owns it; the same user goes on."""
    with (
        login(empty_database_url) as name,
        psycopg.connect(empty_database_url, autocommit=True) as admin,
    ):
        database = admin.info.dbname
        admin.execute(f"grant {OWNER} to {name}".encode())
        admin.execute(f"alter database {database} owner to {name}".encode())
        with psycopg.connect(as_user(empty_database_url, name), autocommit=True) as before:
            before.execute("create table alembic_version (version_num varchar(32) primary key)")
            before.execute("create table source (id bigint)")
            before.execute("create table theirs (id bigint)")
        engine = make_engine(as_user(empty_database_url, name))
        with transaction(engine) as connection:
            prepare_roles(connection)
        with transaction(engine) as connection:
            act_as_owner(connection)
            owners = dict(
                connection.execute(
                    text(
                        "select relname, relowner::regrole::text from pg_class"
                        " where relnamespace = 'public'::regnamespace and relkind = 'r'"
                    )
                ).all()
            )
        engine.dispose()
        admin.execute(f"alter database {database} owner to postgres".encode())
    assert owners == {"alembic_version": OWNER, "source": OWNER, "theirs": name}


@pytest.fixture(scope="module")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on which none of our roles was ever made."""
    with EmbeddedServers(tmp_path_factory.mktemp("bare"), redis=False) as running:
        yield running.database_url


def _there(admin: Connection) -> set[str]:
    found = admin.execute("select rolname from pg_roles where rolname = any(%s)", [list(ROLES)])
    return {str(name) for (name,) in found}


def test_roles_are_told_and_then_made_by_databases_of_one_server_at_once(bare_server: str) -> None:
    """Each in a database of its own, so that no lock of ours is between them."""
    urls = [bare_server.replace("/nifos?", f"/race_{number}?") for number in range(3)]
    with psycopg.connect(bare_server, autocommit=True) as admin:
        for number in range(3):
            admin.execute(f"create database race_{number}".encode())
        with login(bare_server) as name:
            _refused_with_every_statement(as_user(urls[0], name))
        assert _there(admin) == set()
        failures: list[Exception] = []
        threads = [
            threading.Thread(target=_prepare, args=(url, failures)) for url in urls for _ in "ab"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert _there(admin) == set(ROLES)


def _refused_with_every_statement(url: str) -> None:
    engine = make_engine(url)
    with pytest.raises(DatabaseError) as caught:
        migrate(engine)
    for role in ROLES:
        assert f"create role {role} nologin;" in str(caught.value)
    engine.dispose()


def _prepare(url: str, failures: list[Exception]) -> None:
    engine = make_engine(url)
    try:
        with transaction(engine) as connection:
            prepare_roles(connection)
    except NifosError as error:
        failures.append(error)
    engine.dispose()


def test_a_user_who_may_make_roles_needs_no_administrator(bare_server: str) -> None:
    """As on a managed server: no superuser, but a creator of roles with a database of its own."""
    with psycopg.connect(bare_server, autocommit=True) as admin:
        for role in _there(admin):
            admin.execute(f"drop owned by {role} cascade".encode())
        admin.execute("create user maker createrole")
        admin.execute("create database managed owner maker")
        for role in _there(admin):
            for database in ("nifos", "race_0", "race_1", "race_2"):
                with psycopg.connect(
                    bare_server.replace("/nifos?", f"/{database}?"), autocommit=True
                ) as each:
                    each.execute(f"drop owned by {role} cascade".encode())
            admin.execute(f"drop role {role}".encode())
    engine = make_engine(as_user(bare_server.replace("/nifos?", "/managed?"), "maker"))
    assert migrate(engine)
    assert not migrate(engine)
    with transaction(engine) as connection:
        assert current_rights(connection) == expected_rights()
    engine.dispose()
