"""Which version is active, who made it so, and what was active before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from db import versions
from db.engine import Connection, Engine, transaction

BLOCKED = {"passed": False, "reasons": ["neutral: its recall falls from 0.61 to 0.02"]}


def _register(connection: Connection, name: str, verdict: dict[str, object] | None = None) -> int:
    return versions.register_version(
        connection, name=name, store_path=name, checksums={}, metrics={}, verdict=verdict
    )


def test_a_verdict_is_kept_with_its_version(engine: Engine) -> None:
    with transaction(engine) as connection:
        _register(connection, "judged", BLOCKED)
        _register(connection, "never judged")
        _register(connection, "good", {"passed": True})
    with transaction(engine) as connection:
        rows = {row.name: row for row in versions.list_versions(connection)}
        # None is SQL's null, so that a query for what was never judged finds it.
        unjudged = connection.scalars(text("select name from version where verdict is null"))
        assert unjudged.all() == ["never judged"]
    assert rows["judged"].verdict == BLOCKED
    assert rows["never judged"].verdict is None
    assert {name: row.blocked for name, row in rows.items()} == {
        "judged": True,
        "never judged": False,
        "good": False,
    }


def test_each_activation_says_who_when_why_and_what_it_replaced(engine: Engine) -> None:
    with transaction(engine) as connection:
        one, two = _register(connection, "one"), _register(connection, "two", BLOCKED)
        versions.activate_version(connection, one)
        versions.activate_version(connection, two, who="kim@desk", why="급하다", forced=True)
        versions.activate_version(connection, two, who="lee", why="again")  # nothing to do
    with transaction(engine) as connection:
        newest, first = versions.list_activations(connection, 10)
        assert versions.list_activations(connection, 1) == [newest]
        assert versions.list_activations(connection, 10, version="one") == [first]
        active = versions.active_version(connection)
        assert active is not None
        assert (active.name, active.blocked) == ("two", True)
    assert (newest.version, newest.previous, newest.who) == ("two", "one", "kim@desk")
    assert (newest.why, newest.forced) == ("급하다", True)
    assert (first.previous, first.who, first.why, first.forced) == (None, "unknown", "", False)
    assert newest.at >= first.at


@pytest.mark.parametrize(
    ("history", "before"),
    [
        ("", None),
        ("a", None),
        ("ab", "a"),
        ("abc", "b"),
        ("aba", None),  # back at a: what was before it, not what was gone back from
        ("abcb", "a"),
        ("abcbd", "b"),
    ],
)
def test_what_was_active_before(engine: Engine, history: str, before: str | None) -> None:
    with transaction(engine) as connection:
        ids = {name: _register(connection, name) for name in "abcd"}
        for name in history:
            versions.activate_version(connection, ids[name])
    with transaction(engine) as connection:
        found = versions.previous_version(connection)
    assert (None if found is None else found.name) == before


def test_activations_at_once_wait_for_each_other(engine: Engine) -> None:
    with transaction(engine) as connection:
        ids = [_register(connection, f"v{n}") for n in range(8)]

    def activate(version_id: int) -> None:
        with transaction(engine) as connection:
            versions.activate_version(connection, version_id, who=str(version_id))

    with ThreadPoolExecutor(len(ids)) as pool:
        list(pool.map(activate, ids))  # the first error would be raised here
    with transaction(engine) as connection:
        active = versions.active_version(connection)
        rows = versions.list_activations(connection, 20)
    # One chain: each replaced the one before it, and the last one is active.
    assert sorted(row.version for row in rows) == sorted(f"v{n}" for n in range(8))
    assert [row.previous for row in rows] == [*(row.version for row in rows[1:]), None]
    assert active is not None
    assert active.name == rows[0].version
