from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from core.errors import DatabaseError, InputError
from db.engine import Engine, make_engine, transaction
from db.query import read_only
from tests.crawls import load_posts


def _rows(engine: Engine, query: str) -> list[tuple[object, ...]]:
    with read_only(engine, query, timezone="Asia/Seoul") as result:
        return list(result.rows)


def test_it_reads_tables_and_views(engine: Engine, active_version: int, tmp_path: Path) -> None:
    load_posts(engine, tmp_path, 5)
    assert _rows(engine, "select count(*) from document;") == [(5,)]
    with read_only(engine, "select * from sentiment", timezone="Asia/Seoul") as result:
        assert result.columns[0] == "document_id"
        assert list(result.rows) == []


def test_times_come_in_the_zone_and_percent_signs_are_only_that(engine: Engine) -> None:
    query = "select '2026-11-01 00:00+00'::timestamptz::text, '100%' like '%'"
    assert _rows(engine, query) == [("2026-11-01 09:00:00+09", True)]


@pytest.mark.parametrize(
    "query",
    [
        "delete from label",
        "create table x (y int)",
        "with gone as (delete from document returning 1) select * from gone",
        "select 1; drop table label",
        "select 1; commit; drop table label",
        "select pg_read_file('/etc/passwd')",
        "select nextval(pg_get_serial_sequence('source', 'id'))",
        "copy label to program 'id'",
        "update source set name = 'x'",
        "selec 1",
        "",
        "begin",
    ],
)
def test_it_cannot_write_and_says_so_in_a_line(engine: Engine, query: str) -> None:
    with pytest.raises(InputError, match="the query was refused") as caught:
        _rows(engine, query)
    assert "\n" not in str(caught.value)
    with transaction(engine) as connection:
        assert connection.scalar(text("select to_regclass('label')")) is not None


def test_an_unreachable_server_is_one_line_without_the_password() -> None:
    engine = make_engine("postgresql://u:hunter2@127.0.0.1:1/db")
    with pytest.raises(DatabaseError, match="NIFOS_DATABASE_URL") as caught:
        _rows(engine, "select 1")
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_errors_never_quote_a_document(engine: Engine) -> None:
    secret = "누구도 보면 안 되는 글"
    insert = "insert into document (source_id, external_id, text, text_hash, chunk_id)"
    values = " values (99, 'x', :text, '', 99)"
    with pytest.raises(Exception, match="document_") as caught, transaction(engine) as connection:
        connection.execute(text(insert + values), {"text": secret})
    assert secret not in str(caught.value)
