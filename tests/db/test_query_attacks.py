"""`nifos sql` as an analyst of bad intent types it: as a user in the reader's role."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from cli.embedded import EmbeddedServers
from core.errors import InputError
from db.engine import Engine, make_engine, transaction
from db.query import read_only
from db.roles import READER
from tests.databases import new_database
from tests.db.test_roles import as_user, login
from tests.scored import World


@pytest.fixture(scope="module")
def database_url(servers: EmbeddedServers, template_database: str) -> Iterator[str]:
    """One for all tests here: nothing may change it."""
    yield from new_database(servers.database_url, template_database)


@pytest.fixture(scope="module")
def analyst(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Of a database with five documents."""
    owner = make_engine(database_url)
    world = World(owner, tmp_path_factory.mktemp("crawls"))
    world.version("v1")
    world.crawl("blog", 5)
    owner.dispose()
    with login(database_url, f"in role {READER}") as name:
        made = make_engine(as_user(database_url, name))
        yield made
        made.dispose()


def _rows(engine: Engine, query: str) -> list[tuple[object, ...]]:
    with read_only(engine, query, timezone="Asia/Seoul") as result:
        return list(result.rows)


def _inside(query: str) -> str:
    """Run by a function, which no look at the query's text finds: what it gives, as lexemes.

    `query_to_xml` is better known, but refuses everything where PostgreSQL came without libxml.
    """
    words = f"select to_tsvector('simple', x::text) from ({query}) as x".replace("'", "''")
    return f"select (select count(*) from ts_stat('{words}'))"


ATTACKS = [
    "set role none",
    "reset role",
    "set transaction read write",
    "set session characteristics as transaction read write",
    "select 1; set transaction read write; delete from label",
    "select 1; commit; begin; delete from label; commit",
    "select 1 \\; delete from label",
    "explain analyze delete from document",
    "prepare x as delete from document",
    "do $$ begin delete from document; end $$",
    "copy (select 1) to program 'touch /tmp/nifos-attack'",
    "copy document to '/tmp/nifos-attack'",
    "with x as (insert into source (name) values ('x') returning 1) select * from x",
    "select * into stolen from document",
    "select 1 from document for update",
    "select lo_import('/etc/passwd')",
    "select lo_from_bytea(0, 'x')",
    "select lo_export(1, '/tmp/nifos-attack')",
    "select pg_read_file('/etc/passwd')",
    "select pg_read_binary_file('/etc/passwd')",
    "select pg_ls_dir('/')",
    "select * from dblink('dbname=nifos', 'select 1') as t (x int)",
    "create extension dblink",
    "select nextval('source_id_seq')",
    "select setval('source_id_seq', 1)",
    "select pg_reload_conf()",
    "select pg_rotate_logfile()",
    "select pg_switch_wal()",
    "select pg_create_restore_point('x')",
    "select pg_promote()",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'",
    "select pg_cancel_backend(pid) from pg_stat_activity where usename = 'postgres'",
    "select pg_stat_reset()",
    "select set_config('role', 'postgres', true)",
    "select set_config('session_authorization', 'postgres', true)",
    "select set_config('transaction_read_only', 'off', true), 1",
    "select hold_active_version()",
    "select passwd from pg_shadow",
    "notify x",
    "listen x",
    "lock table document",
    "vacuum",
    "load 'x'",
]


def _refuse(analyst: Engine, query: str) -> None:
    with pytest.raises(InputError, match=r"\Athe query was refused.*\Z"):  # `.` is no line's end
        _rows(analyst, query)
    assert not Path("/tmp/nifos-attack").exists()
    assert _rows(analyst, "select count(*) from document") == [(5,)]


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_in_a_line(analyst: Engine, attack: str) -> None:
    _refuse(analyst, attack)


@pytest.mark.parametrize("attack", [one for one in ATTACKS if one.startswith("select ")])
def test_an_attack_from_within_a_function_is_refused_too(analyst: Engine, attack: str) -> None:
    _refuse(analyst, _inside(attack))


def test_from_within_a_function_a_superuser_would_reach_it(analyst: Engine, engine: Engine) -> None:
    """Else the tests around this one would show nothing."""
    assert _rows(analyst, _inside("select 'harmless'")) == [(1,)]
    with transaction(engine) as connection:
        assert connection.scalar(text(_inside("select pg_read_file('/etc/passwd')")))


def test_to_put_the_role_down_gives_nothing(analyst: Engine) -> None:
    """The role can be put down in the middle of a query; behind it is a user with no more."""
    down = "select set_config('role', 'none', true), "
    for inner in ("select pg_read_file('/etc/passwd')", "select nextval('source_id_seq')"):
        with pytest.raises(InputError):
            _rows(analyst, down + _inside(inner).removeprefix("select "))


def test_a_query_has_an_end_and_leaves_no_lock(analyst: Engine, engine: Engine) -> None:
    idle = "idle_in_transaction_session_timeout"
    assert _rows(analyst, "select current_setting('statement_timeout')") == [("2min",)]
    assert _rows(analyst, f"select current_setting('{idle}')") == [("1min",)]
    _rows(analyst, "select pg_advisory_lock(4711)")
    analyst.dispose()  # as the command's end does
    end = time.monotonic() + 10
    with transaction(engine) as connection:
        while not connection.scalar(text("select pg_try_advisory_xact_lock(4711)")):
            assert time.monotonic() < end
