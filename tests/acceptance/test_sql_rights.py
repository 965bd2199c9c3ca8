"""`nifos sql` on servers of our own, whose user may do everything: the query's user may not."""

from __future__ import annotations

from tests.acceptance.command import Nifos

DOWN = "set_config('role', 'none', true)"
# Run by a function, once the role is down. `query_to_xml` would do, where there is libxml.
READ_FILE = (
    "(select count(*) from"
    " ts_stat('select to_tsvector(''simple'', pg_read_file(''/etc/passwd''))'))"
)


def test_who_puts_the_role_down_is_still_the_reader(standing: Nifos) -> None:
    done = standing("sql", f"select {DOWN}, {READ_FILE}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "permission denied for function pg_read_file" in done.stderr
    found = standing.json("sql", "--format", "json", f"select {DOWN}, current_user as me")
    assert found[0]["me"] == "nifos_reader"
