"""`nifos check` as monitoring runs it: its exit codes, on real servers and on none."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from cli.embedded import EmbeddedServers
from cli.embedded_postgres import SOCKET_NAME
from core.messages import ScoringKey
from db.engine import Engine, transaction
from tests.acceptance.command import Nifos
from tests.chaos.proxy import Proxy

NOBODY = "127.0.0.1:9"


@pytest.fixture
def nifos(database_url: str, broker_url: str, tmp_path: Path) -> Nifos:
    urls = {"NIFOS_DATABASE_URL": database_url, "NIFOS_BROKER_URL": broker_url}
    return Nifos(tmp_path / "home", **urls)


def test_work_that_nobody_does_is_exit_1_with_what_to_type(
    nifos: Nifos, engine: Engine, key: ScoringKey
) -> None:
    assert nifos.json("check", "--json") == {"healthy": True, "problems": []}
    with transaction(engine) as connection:
        connection.execute(text("update scoring set waiting_since = now() - interval '2 minutes'"))
    done = nifos("check", "--json")
    assert done.returncode == 1
    (problem,) = json.loads(done.stdout)["problems"]
    assert (problem["what"], problem["command"]) == ("worker", "nifos worker")
    assert problem["words"] == "no worker is alive, and 1 chunks are to be labelled"
    shown = nifos("status")
    assert (shown.returncode, "PROBLEM" in shown.stdout) == (0, True)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"NIFOS_DATABASE_URL": f"postgresql://nifos:secret1@{NOBODY}/nifos"}, "PostgreSQL"),
        ({"NIFOS_BROKER_URL": f"redis://:secret1@{NOBODY}/0"}, "Redis"),
    ],
)
def test_a_service_that_is_away_is_exit_3_and_one_line(
    nifos: Nifos, changed: dict[str, str], named: str
) -> None:
    done = nifos("check", **changed)
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert named in line
    assert "secret1" not in line


@pytest.mark.parametrize("named", ["PostgreSQL", "Redis"])
def test_a_service_that_takes_connections_and_says_nothing_is_exit_3_too(
    nifos: Nifos, servers: EmbeddedServers, database_url: str, named: str
) -> None:
    folder = servers.redis_socket.parent
    socket = folder / SOCKET_NAME if named == "PostgreSQL" else servers.redis_socket
    with Proxy(socket) as proxy:
        database = urlsplit(database_url).path
        urls = {
            "PostgreSQL": {
                "NIFOS_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{proxy.port}{database}"
            },
            "Redis": {"NIFOS_BROKER_URL": f"redis://127.0.0.1:{proxy.port}/0"},
        }
        assert nifos("check", **urls[named]).returncode == 0
        proxy.swallow_new = True
        done = nifos("check", **urls[named])
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert named in line
