"""`nifos sql` as an analyst of bad intent types it: as a user in the reader's role."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from core.errors import InputError
from db.engine import Engine, make_engine, transaction
from db.query import read_only
from db.roles import READER
from tests.crawls import load_posts
from tests.db.test_roles import as_user, login


@pytest.fixture
def analyst(
    engine: Engine, active_version: int, tmp_path: Path, database_url: str
) -> Iterator[Engine]:
    """Of a database with five documents."""
    load_posts(engine, tmp_path, 5)
    with login(database_url, f"in role {READER}") as name:
        made = make_engine(as_user(database_url, name))
        yield made
        made.dispose()


def _rows(engine: Engine, query: str) -> list[tuple[object, ...]]:
    with read_only(engine, query, timezone="Asia/Seoul") as result:
        return list(result.rows)


def _inside(statement: str) -> str:
    """Run by a function, which no look at the query's text finds."""
    words = statement.replace("'", "''")
    return f"select query_to_xml('{words}', true, false, '')"


def _refusal(engine: Engine, query: str) -> str:
    try:
        _rows(engine, query)
    except InputError as error:
        return str(error)
    return ""


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


def test_each_is_refused_in_a_line(analyst: Engine) -> None:
    said = {query: _refusal(analyst, query) for query in (*ATTACKS, *map(_inside, ATTACKS))}
    passed = [
        query
        for query, words in said.items()
        if not words.startswith("the query was refused") or "\n" in words
    ]
    assert passed == []
    assert not Path("/tmp/nifos-attack").exists()
    assert _rows(analyst, "select count(*) from document") == [(5,)]


def test_to_put_the_role_down_gives_nothing(analyst: Engine) -> None:
    """The role can be put down in the middle of a query; behind it is a user with no more."""
    down = "select set_config('role', 'none', true), "
    for inner in ("select pg_read_file('/etc/passwd')", "delete from label"):
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
